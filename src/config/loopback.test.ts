import { describe, expect, it } from 'vitest';
import { isLoopback } from './loopback.ts';

describe('isLoopback', () => {
  it.each(['127.0.0.1', '127.255.1.2', '::1', '[::1]', '0:0:0:0:0:0:0:1', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1'])(
    '%s is',
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );
  it.each([
    ['128.0.0.1'],
    ['127.0.0.1.example.com'],
    ['127'],
    ['::'],
    ['::2'],
    ['::ffff:10.0.0.1'],
    ['localhost.example.com'],
    ['my-localhost'],
    ['0.0.0.0'],
    ['[fe80::1]'],
    ['%::1'],
    [''],
  ])('%s is not', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});
