import { gzipSync } from 'node:zlib';

interface TarEntry {
  /** Relative, at most 100 bytes, no `..`. */
  readonly name: string;
  readonly text: string;
}

const BLOCK = 512;

/** A gzipped ustar archive of regular files (POSIX.1-1988), all 0600 and of one time. `seconds`: Unix time. */
export function tarGz(entries: readonly TarEntry[], seconds: number): Buffer {
  const parts = entries.flatMap(({ name, text }) => {
    const body = Buffer.from(text, 'utf8');
    const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
    return [header(name, body.length, seconds), body, padding];
  });
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]));
}

function header(name: string, size: number, seconds: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`the name ${name} is too long for the archive`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number): void =>
    void block.write(value.toString(8).padStart(length - 1, '0'), offset);
  block.write(name, 0);
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(Math.floor(seconds), 136, 12);
  block.write('0ustar', 156);
  block.write('\0', 262);
  block.write('00', 263);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}
