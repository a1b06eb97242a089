import { describe, expect, it } from 'vitest';
import { chooseTests, parseTests } from './choose-tests.ts';

const tests = parseTests(
  JSON.stringify([
    { name: 'a node > resize: the new size (RP-11)', file: '/r/test/lab/volume.test.ts', projectName: 'lab' },
    { name: 'a node > detach', file: '/r/test/lab/volume.test.ts' },
    { name: 'two paths > link down', file: '/r/test/lab/paths/links.test.ts' },
  ]),
);
const names = (word: string): readonly string[] => {
  const { pattern } = chooseTests(tests, '/r/test/lab', word);
  return tests.map(({ name }) => name.replaceAll(' > ', ' ')).filter((name) => new RegExp(pattern).test(name));
};

describe('the tests of the lab that have a word', () => {
  it('are those with it in their name, in whatever case, taken literally', () => {
    expect(names('resize')).toEqual(['a node resize: the new size (RP-11)']);
    expect(names('(rp-11)')).toHaveLength(1);
    expect(names('detach|link')).toEqual(['a node detach', 'two paths link down']);
  });

  it('are all of a file with it in its path, and no other file is run', () => {
    expect(names('paths')).toEqual(['two paths link down']);
    expect(chooseTests(tests, '/r/test/lab', 'paths')).toMatchObject({ files: ['/r/test/lab/paths/links.test.ts'], count: 1 });
    expect(names('volume')).toHaveLength(2);
    expect(() => chooseTests(tests, '/r/test/lab', '/r/')).toThrow();
  });

  it('are never none without a word about it', () => {
    expect(() => chooseTests(tests, '/r/test/lab', 'resise')).toThrow(/"resise".*the files are: paths\/links, volume/);
  });
});
