/** Half of a certificate's fingerprint stands in a line. */
const HALF = '(?:[0-9A-F]{2}:){15}[0-9A-F]{2}';

/**
 * What differs from run to run, and what stands in the pictures instead: as long as it, so that no column moves. Addresses are those that
 * RFC 5737 keeps for examples, and a private one where that is too long.
 */
const CHANGES: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '2026-01-15T08:30:00Z'],
  [/(answers within )\d+(?= ms)/g, '$12'],
  // a free port of the simulator has five digits; the portal that is away is given by its setting
  [/((?:portal|listens on) )127\.0\.0\.1:\d{5}/g, '$1192.0.2.10:3260'],
  [/(portal )127\.0\.0\.2:9( {4})?/g, '$1192.0.2.11:3260'],
  [/127\.0\.0\.2:9/g, '192.0.2.11:3260'],
  [/127\.0\.0\.1:\d+/g, '192.0.2.10:443'],
  [/(?<![\d.])127\.0\.0\.1(?!\d)/g, '10.0.0.10'],
  [/(valid to )[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}/g, '$1Jan 15 08:30:00 2036'],
  [
    new RegExp(`${HALF}(\\s+)${HALF}`, 'g'),
    '3A:7F:19:C4:5E:82:0B:D6:91:2C:F8:47:AE:63:15:D0$17B:E2:38:9F:04:C1:5D:A6:70:1E:B9:43:8C:F5:26:DB',
  ],
  // how long ago something without a date was first seen
  [/>\d+s\b/g, '>0s'],
];

/** The same output for every run of one version. */
export function steady(output: string): string {
  return CHANGES.reduce((text, [pattern, instead]) => text.replace(pattern, instead), output);
}
