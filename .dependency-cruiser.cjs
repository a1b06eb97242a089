// The arrows of the house as failing rules. See ARCHITECTURE.md for why they point this way:
// core <- config, protocol <- truenas, host, observe, inventory <- volumes <- daemon; cli and sim stand apart.
const ROOMS = ['core', 'config', 'protocol', 'truenas', 'host', 'observe', 'inventory', 'volumes', 'doctor', 'setup', 'daemon', 'cli'];

/** Production code of a room may import only these rooms of ours. */
const MAY_IMPORT = {
  core: [],
  config: ['core'],
  protocol: ['core'],
  truenas: ['core', 'config', 'protocol'],
  host: ['core', 'config', 'protocol'],
  observe: ['core', 'config', 'protocol'],
  inventory: ['core', 'config', 'protocol'],
  volumes: ['core', 'config', 'protocol', 'observe', 'inventory'],
  doctor: ['core', 'config', 'protocol', 'truenas', 'host', 'inventory', 'volumes'],
  setup: ['core', 'config', 'protocol', 'truenas'],
  daemon: ROOMS.filter((room) => room !== 'cli' && room !== 'doctor' && room !== 'setup'),
  cli: ['core', 'config', 'protocol', 'doctor', 'setup'],
};

const TEST = '[.]test[.]ts$|/testing/';

const arrows = ROOMS.map((room) => ({
  name: `arrow-${room}`,
  comment: `src/${room} may import only: ${[room, ...MAY_IMPORT[room]].join(', ')}`,
  severity: 'error',
  from: { path: `^src/${room}/`, pathNot: TEST },
  to: { path: '^(src|sim|tools|test)/', pathNot: `^src/(${[room, ...MAY_IMPORT[room]].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'core-is-pure',
      comment: 'core is the language of the house: no I/O, no library',
      severity: 'error',
      from: { path: '^src/core/', pathNot: TEST },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'volumes-have-no-io',
      comment: 'use cases reach the world through ports only',
      severity: 'error',
      from: { path: '^src/volumes/', pathNot: TEST },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    {
      name: 'arrow-sim',
      comment: 'the simulator shares core and wire types with the client, never behaviour',
      severity: 'error',
      from: { path: '^sim/' },
      to: { path: '^(src|tools|test)/', pathNot: '^src/(core|truenas/wire)/' },
    },
    {
      name: 'sim-wire-types-only',
      comment: 'from src/truenas/wire the simulator takes types, so that both sides cannot share a mistake',
      severity: 'error',
      from: { path: '^sim/' },
      to: { path: '^src/truenas/wire/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'tests-are-not-imported',
      comment: 'what ships does not import test code',
      severity: 'error',
      from: { path: '^(src|sim)/', pathNot: TEST },
      to: { path: `^test/|${TEST}` },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-utils',
      comment: 'a file is named for what it does',
      severity: 'error',
      from: {},
      to: { path: '/(util|utils|helper|helpers|misc)(/|[.]ts$)', pathNot: 'node_modules' },
    },
    {
      name: 'no-barrels',
      comment: 'import the file that holds the thing',
      severity: 'error',
      from: {},
      to: { path: '/index[.]ts$', pathNot: 'node_modules' },
    },
    {
      name: 'no-orphans',
      comment: 'a file that nobody imports is dead',
      severity: 'error',
      from: { orphan: true, path: '^(src|sim)/', pathNot: `${TEST}|[.]d[.]ts$` },
      to: {},
    },
    {
      name: 'ships-no-dev-packages',
      comment: 'what is bundled stands under `dependencies`',
      severity: 'error',
      from: { path: '^(src|sim)/', pathNot: TEST },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage)/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.js', '.json'], exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
