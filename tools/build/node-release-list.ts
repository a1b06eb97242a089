import { join } from 'node:path';
import { DOWNLOADS } from './download-cache.ts';

/** Where downloaded releases are kept between runs. */
export const CACHE = join(DOWNLOADS, 'node');

/** 18.20 is what PVE 8's Debian ships, 20.19 PVE 9's; 22 and 24 are the long-term releases that users install. */
export const NODE_RELEASES = [
  {
    version: '18.20.4',
    integrity: 'sha512-R0uJgrj1mEU6h0NiypqrDenjo1w/viS/QKwB4zZCosvu/Z7ZRJU+4VVgnVy2t82qgkRVN8ZsBDImbkBI3czUrQ==',
  },
  {
    version: '20.19.2',
    integrity: 'sha512-nF7abjU3O5Sl6xlnpYj3w16l2yk7EwRHTH3AP7zcRu/fa2CnaKeSNCpBdMLv6oBA75xuLAS1ui4Q4Ffy1yGWqg==',
  },
  {
    version: '22.23.3',
    integrity: 'sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==',
  },
  {
    version: '24.21.0',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
] as const;

/** The binary of a downloaded release. */
export function nodeBinary(version: string): string {
  return join(CACHE, version, 'node');
}
