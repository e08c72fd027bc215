/** A logo by its own first bytes: which format it has, and how large it is drawn. Pure. */
import type { DocumentLogo } from './invoice-document.ts';

export const logoBytesMax = 524_288;
/** A small file may unfold into a picture of gigabytes. */
export const logoPixelsMax = 2000;

export type LogoFault = 'too_many_bytes' | 'unknown_format' | 'too_many_pixels';
type Size = { readonly width: number; readonly height: number };

const pngSignature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** The header must be the first chunk, and has both at fixed places. */
const pngSize = (view: DataView): Size | undefined => {
  if (view.byteLength < 33 || pngSignature.some((byte, at) => view.getUint8(at) !== byte)) return undefined;
  return view.getUint32(12) === 0x49_48_44_52 ? { width: view.getUint32(16), height: view.getUint32(20) } : undefined;
};

/** Frame headers are the markers C0 to CF, but for the three that define tables. */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

const jpegSize = (view: DataView): Size | undefined => {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xff_d8) return undefined;
  let at = 2;
  while (at + 9 < view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    if (isFrame(marker)) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    // A fill byte stands alone; every other segment says its length.
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
};

export const readLogo = (bytes: Uint8Array): { readonly logo: DocumentLogo } | { readonly fault: LogoFault } => {
  if (bytes.byteLength > logoBytesMax) return { fault: 'too_many_bytes' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const png = pngSize(view);
  const size = png ?? jpegSize(view);
  if (!size || size.width === 0 || size.height === 0) return { fault: 'unknown_format' };
  if (size.width > logoPixelsMax || size.height > logoPixelsMax) return { fault: 'too_many_pixels' };
  return { logo: { format: png ? 'png' : 'jpg', bytes } };
};
