/** A link as a QR code, drawn as SVG. Pure. */
import { encode } from 'uqr';

/** Blank modules around the code, as the standard asks for (ISO/IEC 18004). */
const quietZone = 4;

export const paymentCode = (url: string): string => {
  const { data, size } = encode(url, { ecc: 'M', border: quietZone });
  const path = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : []))).join('');
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges">` +
    `<path d="${path}" fill="#1a1f36"/></svg>`
  );
};
