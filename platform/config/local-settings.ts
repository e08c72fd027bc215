/** The settings of the servers that are started here. */
export const localSettings = {
  home: {
    variable: 'MILLRACE_HOME',
    kind: 'text',
    fallback: '.millrace',
    about: 'Where the servers started here keep their data.',
  },
  postgresMemoryMb: {
    variable: 'MILLRACE_POSTGRES_MEMORY_MB',
    kind: 'integer',
    fallback: '0',
    min: 0,
    max: 1_048_576,
    about: 'Shared buffers of a PostgreSQL that is started here. 0: an eighth of the machine, 128 to 4096.',
  },
  postgresWalMb: {
    variable: 'MILLRACE_POSTGRES_WAL_MB',
    kind: 'integer',
    fallback: '0',
    min: 0,
    max: 1_048_576,
    about:
      'Write-ahead log of a PostgreSQL that is started here, between two checkpoints: that much of the disk it may take. 0: four times its shared buffers, 1024 to 8192.',
  },
} as const;
