import { Command, type Option } from 'commander';
import { addFaultCommand } from '../../sim/faults/fault-command.ts';
import { addRunOptions } from '../../sim/server/command-line.ts';
import { type CommandDefinition, summaryOf } from '../../src/cli/command.ts';
import { buildProgram, COMMANDS } from '../../src/cli/program.ts';
import { SETTINGS } from '../../src/config/schema.ts';
import type { Setting } from '../../src/config/setting.ts';
import { daemonCommand } from '../../src/daemon/command-line.ts';
import { bold, type ManPage, plain, shellLines, type Term, terms } from './scdoc.ts';

const FILES = terms([
  { head: bold('/etc/pve/storage.cfg'), text: 'Storages with their settings; see pve-truenas-settings(5).' },
  { head: bold('/etc/pve/priv/storage/STORAGE.api_key'), text: 'API key of a storage.' },
  { head: bold('/etc/pve/priv/storage/STORAGE.chap_password'), text: 'CHAP secret of a storage.' },
  { head: bold('/run/pve-truenas/daemon.sock'), text: 'Socket on which the daemon is called.' },
]);

/** All pages of section 1, 5 and 8. */
export function manPages(): readonly ManPage[] {
  const program = buildProgram(() => Promise.resolve());
  return [
    overview(program),
    ...COMMANDS.map((definition) => commandPage(program, definition)),
    daemonPage(),
    simulatorPage(),
    settingsPage(),
  ];
}

/** `pve-truenas-config-check` */
export function pageName(path: string): string {
  return `pve-truenas-${path.replaceAll(' ', '-')}`;
}

function overview(program: Command): ManPage {
  const commands = COMMANDS.map(({ path, description }) => ({ head: bold(`pve-truenas ${path}`), text: summaryOf(description) }));
  return {
    name: 'pve-truenas',
    section: 1,
    summary: 'TrueNAS storage of a Proxmox VE node, on the command line',
    parts: [
      ['SYNOPSIS', `*pve-truenas* [options] _COMMAND_ [arguments]`],
      [
        'DESCRIPTION',
        plain(`${program.description()} Each command has a page of its own, such as ${pageName(COMMANDS[0]?.path ?? '')}(1).`),
      ],
      ['COMMANDS', terms(commands)],
      ['OPTIONS OF EVERY COMMAND', optionTerms(program.options)],
      ['EXIT STATUS', exitTerms({ 0: 'healthy, or the work is done', 1: 'a warning', 2: 'critical', 3: 'unusable input' })],
      ['FILES', FILES],
      ['SEE ALSO', seeAlso(['pve-truenas-settings(5)', 'pve-truenasd(8)', 'pve-truenas-sim(1)', 'pvesm(1)'])],
    ],
  };
}

function commandPage(program: Command, { path, description, exits, examples }: CommandDefinition): ManPage {
  const command = path.split(' ').reduce((parent, word) => {
    const found = parent.commands.find((sub) => sub.name() === word);
    if (found === undefined) throw new Error(`there is no command ${path}`);
    return found;
  }, program);
  const values = command.registeredArguments.map((argument) => {
    const name = argument.argChoices?.map(bold).join('|') ?? `_${plain(argument.name())}_`;
    return argument.required ? name : `[${name}]`;
  });
  return {
    name: pageName(path),
    section: 1,
    summary: summaryOf(description),
    parts: [
      ['SYNOPSIS', [bold(`pve-truenas ${path}`), ...values, '[options]'].join(' ')],
      ['DESCRIPTION', plain(description)],
      ['ARGUMENTS', terms(command.registeredArguments.map((argument) => ({ head: bold(argument.name()), text: argument.description })))],
      ['OPTIONS', optionTerms([...command.options, ...program.options])],
      ['EXAMPLES', shellLines(examples.map(({ line, what }) => ({ line: `pve-truenas ${line}`, what })))],
      ['EXIT STATUS', exitTerms({ ...exits, 3: 'unusable input' })],
      ['SEE ALSO', seeAlso(['pve-truenas(1)', 'pve-truenas-settings(5)'])],
    ],
  };
}

function daemonPage(): ManPage {
  const command = daemonCommand();
  return {
    name: 'pve-truenasd',
    section: 8,
    summary: 'node daemon of the TrueNAS storage for Proxmox VE',
    parts: [
      ['SYNOPSIS', '*pve-truenasd* [options]'],
      [
        'DESCRIPTION',
        [
          command.description(),
          'It runs as the service pve-truenasd; systemd holds its socket, so that calls made during a restart wait for it. ' +
            'Attached disks are in the hands of the kernel or of QEMU: stopping the daemon disturbs no running guest.',
        ]
          .map(plain)
          .join('\n\n'),
      ],
      ['OPTIONS', optionTerms(command.options)],
      [
        'SIGNALS',
        terms([
          {
            head: bold('SIGHUP'),
            text: 'Reads the log level again, and logs in to every array anew with its present key and certificate authority (systemctl reload pve-truenasd).',
          },
          { head: bold('SIGTERM'), text: 'Finishes the calls under way and ends.' },
        ]),
      ],
      [
        'FILES',
        [
          FILES,
          terms([
            {
              head: bold('/etc/default/pve-truenasd'),
              text: 'Need not exist. LOG_LEVEL=debug, info, warn or error; read at the start and at SIGHUP.',
            },
            { head: bold('/var/lib/pve-truenas'), text: 'Journal of the operations under way.' },
            { head: bold('/dev/pve-truenas/STORAGE/VOLUME'), text: 'Links to attached disks.' },
          ]),
        ].join('\n\n'),
      ],
      ['SEE ALSO', seeAlso(['pve-truenas(1)', 'pve-truenas-settings(5)', 'systemd.service(5)'])],
    ],
  };
}

function simulatorPage(): ManPage {
  const command = addRunOptions(new Command('pve-truenas-sim'));
  addFaultCommand(command, { out: () => undefined }, {});
  const fault = command.commands[0];
  if (fault === undefined) throw new Error('the simulator has no fault command');
  return {
    name: 'pve-truenas-sim',
    section: 1,
    summary: 'TrueNAS simulator',
    parts: [
      ['SYNOPSIS', ['*pve-truenas-sim* [options]', '*pve-truenas-sim fault* _COMMAND_'].join('++\n')],
      [
        'DESCRIPTION',
        plain(
          'Behaves like a TrueNAS, with users, keys, datasets and iSCSI targets, and with faults on demand: to try pve-truenas without a NAS.',
        ),
      ],
      ['OPTIONS', optionTerms(command.options)],
      ['FAULTS', terms(fault.commands.map((sub) => ({ head: bold(`pve-truenas-sim fault ${sub.name()}`), text: sub.description() })))],
      ['SEE ALSO', seeAlso(['pve-truenas(1)'])],
    ],
  };
}

function settingsPage(): ManPage {
  const active = SETTINGS.filter(({ effect }) => effect === 'active');
  const inert = SETTINGS.filter(({ effect }) => effect === 'none');
  return {
    name: 'pve-truenas-settings',
    section: 5,
    summary: 'settings of storages of type truenasplugin in /etc/pve/storage.cfg',
    parts: [
      [
        'DESCRIPTION',
        plain(
          'A storage is a section of type truenasplugin in /etc/pve/storage.cfg. Settings are given with pvesm add and pvesm set; ' +
            'pve-truenas config check judges all of them at once.',
        ),
      ],
      [
        'EXAMPLE',
        [
          '```',
          'truenasplugin: nas',
          '\tapi_host nas.example.com',
          '\tdataset tank/proxmox',
          '\ttarget_iqn proxmox',
          '\tdiscovery_portal 192.0.2.10',
          '\tcontent images,rootdir',
          '```',
        ].join('\n'),
      ],
      ['SETTINGS', terms(active.map(settingTerm))],
      [
        'SETTINGS WITHOUT EFFECT',
        `${plain('They stand in sections of the earlier plugins: read without an error, they change nothing.')}\n\n${terms(
          inert.map((setting) => ({ head: namesOf(setting), text: [setting.description, setting.reason ?? ''].join(' ') })),
        )}`,
      ],
      ['SEE ALSO', seeAlso(['pve-truenas(1)', 'pve-truenas-config-check(1)', 'pvesm(1)'])],
    ],
  };
}

function settingTerm(setting: Setting): Term {
  const { description, required, fixed, sensitive, type, minimum, maximum, unit, expected } = setting;
  const words = setting.enum === undefined ? '' : `One of: ${setting.enum.join(', ')}.`;
  const range = minimum === undefined || maximum === undefined ? '' : `${minimum} to ${maximum}${unit === undefined ? '' : ` (${unit})`}.`;
  const value = words !== '' ? words : range !== '' ? range : type === 'string' ? `Value: ${expected}.` : '';
  const text = [
    description,
    value,
    setting.default === undefined
      ? ''
      : `Default: ${String(typeof setting.default === 'boolean' ? Number(setting.default) : setting.default)}.`,
    required === true ? 'Required.' : '',
    fixed === true ? 'Only when the storage is added.' : '',
    sensitive === true ? 'Kept in /etc/pve/priv/storage.' : '',
  ];
  return { head: namesOf(setting), text: text.filter((part) => part !== '').join(' ') };
}

function namesOf({ name, aliases }: Setting): string {
  return [name, ...aliases].map(bold).join(', ');
}

function optionTerms(options: readonly Option[]): string {
  return terms(
    options.map((option) => {
      const value: unknown = option.defaultValue;
      const choices = option.argChoices === undefined ? '' : ` One of: ${option.argChoices.join(', ')}.`;
      const fallback = typeof value === 'string' || typeof value === 'number' ? ` Default: ${value}.` : '';
      return { head: bold(option.flags), text: `${option.description}${choices}${fallback}` };
    }),
  );
}

function exitTerms(exits: CommandDefinition['exits'] & { readonly 3: string }): string {
  return terms(Object.entries(exits).map(([code, meaning]) => ({ head: bold(code), text: meaning })));
}

/** `pve-truenas(1)`: the name bold, the section not. */
function seeAlso(references: readonly string[]): string {
  return references
    .map((reference) => reference.replace(/^(.*)(\(\d\))$/, (_all, name: string, section: string) => `${bold(name)}${section}`))
    .join(', ');
}
