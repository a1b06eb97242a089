import type { Command } from 'commander';
import { buildProgram } from '../../src/cli/program.ts';
import { code, generatedBy, table } from './markdown.ts';

/** docs/reference/cli.md: the tree of commands, exit codes and the shapes of `--json`. */
export function cliPage(): string {
  const program = buildProgram(() => Promise.resolve());
  const leaves = program.commands.flatMap((command) => (command.commands.length > 0 ? command.commands : [command]));
  return `${generatedBy('cli-page.ts')}
# Command line

${program.description()}

Options of every command, before or after its name:

${optionTable(program)}

## Exit codes

${table(
  ['code', 'meaning'],
  [
    ['0', 'healthy, or the work is done'],
    ['1', 'a warning'],
    ['2', 'critical: a storage is down, a setting is wrong, or the daemon cannot be asked'],
    ['3', 'unusable input: wrong command, flag, storage name, error code or file'],
  ],
)}

## Commands

${leaves.map(section).join('\n\n')}

## JSON

With \`--json\` each command prints exactly one JSON object on standard output. Sizes are bytes, times are Unix seconds.
Members may be added in later versions, never removed or changed. A failure prints (and exits as above):

\`\`\`json
${JSON.stringify({ error: { code: 'STORAGE_UNKNOWN', kind: 'not-found', message: '…', causes: ['…'], hints: ['…'], state: 'only where something was left behind' } }, null, 2)}
\`\`\`

${Object.entries(SHAPES)
  .map(([name, shape]) => `### ${name}\n\n\`\`\`json\n${JSON.stringify(shape, null, 2)}\n\`\`\``)
  .join('\n\n')}

Members that can be absent: \`since\`, \`reason\`, \`version\` (status); \`ctime\`, \`parent\` (list); \`cure\` (health). \`lun\` and \`naa\` are null for a
volume that is not exported. \`state\` is \`healthy\`, \`degraded\` or \`down\` in status, and \`ok\`, \`warning\` or \`critical\` in health.
\`ok\` in config check is true when no fault is an error; \`lines\` are lines of the file that PVE passes over.
`;
}

const SHAPES = {
  status: {
    storages: [
      {
        id: 'nas',
        state: 'healthy',
        since: 1_795_420_800,
        reason: '…',
        api: 'wss://nas.example.org:443',
        version: 'TrueNAS-25.10.0',
        dataset: 'tank/proxmox',
        total: 10_737_418_240,
        available: 8_589_934_592,
        used: 2_147_483_648,
        volumes: 3,
      },
    ],
  },
  list: {
    volumes: [
      {
        storage: 'nas',
        volid: 'nas:vm-100-disk-0',
        vmid: 100,
        size: 1_073_741_824,
        used: 57_344,
        lun: 1,
        naa: '0x6589cfc000000123456789abcdef0123',
        ctime: 1_795_420_800,
        parent: 'base-900-disk-0@__base__',
      },
    ],
  },
  health: {
    state: 'warning',
    daemon: { version: '0.1.0', open_operations: 0 },
    storages: [{ id: 'nas', state: 'warning', checks: [{ name: 'setting api_insecure', state: 'warning', message: '…', cure: '…' }] }],
  },
  'config check': {
    storages: [{ id: 'nas', ok: false, faults: [{ setting: 'dataset', severity: 'error', message: '…', cure: '…' }] }],
    lines: [{ line: 12, message: '…' }],
  },
  explain: { code: 'TLS_UNTRUSTED', kind: 'unavailable', title: '…', causes: ['…'], hints: ['…'] },
} as const;

function section(command: Command): string {
  const path = [command.parent?.parent === null ? '' : (command.parent?.name() ?? ''), command.name()]
    .filter((word) => word !== '')
    .join(' ');
  const takes = command.registeredArguments.map((argument) => {
    const name = argument.argChoices?.join('|') ?? argument.name();
    return argument.required ? name : `[${name}]`;
  });
  const flags = command.options.map((option) => `[${option.flags}]`);
  const usage = `### ${['pve-truenas', path, ...takes, ...flags].join(' ')}\n\n${command.description()}`;
  return command.options.length === 0 ? usage : `${usage}\n\n${optionTable(command)}`;
}

function optionTable(command: Command): string {
  return table(
    ['option', 'meaning', 'default'],
    command.options.map((option) => {
      const value: unknown = option.defaultValue;
      return [code(option.flags), option.description, typeof value === 'string' || typeof value === 'number' ? code(value) : ''];
    }),
  );
}
