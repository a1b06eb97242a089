import { describe, expect, it } from 'vitest';
import type { StorageError } from '../core/errors.ts';
import { bench, failure } from './testing/harness.ts';
import { chooseApi } from './versions.ts';

describe('the choice of the API (truenas-api 1.1)', () => {
  it.each([
    [['v25.04.0', 'v25.04.1', 'v25.04.2'], '/api/v25.04.2', '25.04', false],
    [['v25.04.2', 'v25.10.0', 'v25.10.5'], '/api/v25.10.5', '25.10', false],
    [['v26.0.0', 'v25.10.10', 'v25.10.9'], '/api/v26.0.0', '26.0', false],
    [['v25.10.10', 'v25.10.9'], '/api/v25.10.10', '25.10', false],
    [['v25.10.0', 'v26.0.0', 'v27.0.0'], '/api/v26.0.0', '26.0', true],
    [['v27.0.0'], '/api/current', '26.0', true],
    [['rubbish', 'v25.04.0', '../v99'], '/api/v25.04.0', '25.04', false],
  ])('%j', (versions, path, release, newer) => {
    expect(chooseApi(versions)).toEqual({ path, release, newer });
  });

  it.each([[[]], [['v24.10']], [['v24.04.0', 'v24.10.2']], [['rubbish']]])('refuses %j', (versions) => {
    expect(() => chooseApi(versions)).toThrow(expect.objectContaining({ code: 'RELEASE_UNSUPPORTED' }) as Error);
  });

  it.each([
    ['a web page', 200, '<html>', 'ARRAY_PROTOCOL'],
    ['an object', 200, '{"a":1}', 'ARRAY_PROTOCOL'],
    ['something huge', 200, 'x'.repeat(300_000), 'ARRAY_PROTOCOL'],
    ['404', 404, '[]', 'RELEASE_UNSUPPORTED'],
    ['502', 502, 'Bad Gateway', 'ARRAY_PROTOCOL'],
    ['a redirect', 302, '', 'ARRAY_PROTOCOL'],
  ])('a server that answers with %s gets no login', async (_, status, body, code) => {
    const made = await bench();
    made.server.versions = body;
    made.server.versionsStatus = status;
    expect(((await failure(made.array.ready(made.deadline()))) as StorageError).code).toBe(code);
    expect(made.server.calls).toEqual([]);
    await made.close();
  });
});
