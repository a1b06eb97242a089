import { describe, expect, it } from 'vitest';
import { loopbackAddress } from './metrics-listeners.ts';

describe('--metrics-listen', () => {
  it.each([
    ['127.0.0.1:9927', '127.0.0.1', 9927],
    ['127.8.9.10:1', '127.8.9.10', 1],
    ['[::1]:65535', '::1', 65_535],
    ['127.0.0.1:0', '127.0.0.1', 0],
  ])('takes %s', (text, host, port) => {
    expect(loopbackAddress(text)).toEqual({ host, port });
  });

  it.each(['0.0.0.0:9927', '192.0.2.1:9927', '[::]:9927', '[2001:db8::1]:9927', '128.0.0.1:80', '[::ffff:192.0.2.1]:80'])(
    'refuses %s: it is not loopback',
    (text) => {
      expect(() => loopbackAddress(text)).toThrow(/not a loopback address.*proxy/);
    },
  );

  it.each([
    '',
    '9927',
    ':9927',
    'localhost:9927',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:9927 ',
    '::1:9927',
    '127.0.0.1:-1',
    'http://127.0.0.1:1',
  ])('refuses %j: it is no address with a port', (text) => {
    expect(() => loopbackAddress(text)).toThrow('127.0.0.1:PORT');
  });

  it.each(['127.0.0.256:1', '127.1:80', '127.0.0.01:80'])('refuses %s', (text) => {
    expect(() => loopbackAddress(text)).toThrow();
  });
});
