import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseStorageCfg } from '../../src/config/storage-cfg.ts';

/**
 * PVE's rules in Perl itself (libraries-and-models 2.8), so that `\s`, `.` and truth mean what they mean there: a list of
 * texts as JSON in, their sections out. All values are taken, as PVE does for sections of a type it does not know.
 */
const READER = String.raw`
use strict; use warnings; use JSON::PP;
my $json = JSON::PP->new->utf8->canonical;
my $texts = $json->decode(do { local $/; <STDIN> });
my @answers;
for my $text (@$texts) {
  utf8::encode($text);
  my @lines = grep { !/^\s*#/ } split(/\n/, $text);
  my (@order, %found);
  while (@lines) {
    my $line = shift @lines;
    next if !$line;
    next if $line !~ /^(\S+):\s*(\S+)\s*$/;
    my ($type, $id, %keys) = (lc($1), $2);
    while (defined($line = shift @lines) && $line) {
      next if $line !~ /^\s+(\S+)(\s+(.*\S))?\s*$/;
      my ($key, $value) = ($1, $3);
      $keys{$key} = $value if !defined($keys{$key});
    }
    next if $id !~ /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i;
    @order = ((grep { $_ ne $id } @order), $id);
    $found{$id} = { type => $type, id => $id, properties => \%keys };
  }
  push @answers, [map { $found{$_} } @order];
}
my $out = $json->encode(\@answers);
utf8::decode($out); # the bytes were encoded once more
print $out;
`;

it('finds the sections that Perl finds, whatever the text', () => {
  // names that no setting has: what a key alone means depends on the setting's type
  const piece = fc.constantFrom(
    'truenasplugin: nas',
    'Dir:local',
    'a:b: cc',
    'x: 1',
    ': nas',
    'no header',
    '\tkey value',
    '  key other  ',
    '\tkey',
    ' \t ',
    '',
    '0',
    '#c',
    '  # c',
    '\tk\u00a0ey v\u00e4l',
    '\t\u0085x y',
    '\tkey\u2028 a\u2028b',
    'nas: x y',
    '\u000bv w\r',
    '\r',
    '\t0 0',
    'nas: nas\u000c',
  );
  const texts = fc.sample(
    fc.array(piece, { maxLength: 14 }).map((lines) => lines.join('\n')),
    { numRuns: 2000, seed: 7 },
  );
  const answer = execFileSync('perl', ['-e', READER], { input: JSON.stringify(texts), encoding: 'utf8', timeout: 50_000 });
  const wanted: unknown = JSON.parse(answer);
  const ours = texts.map((text) => parseStorageCfg(text).map(({ type, id, properties }) => ({ type, id, properties })));
  expect(ours).toEqual(wanted);
});
