import { Argument, type Command } from 'commander';
import * as z from 'zod';
import { STORAGE_TYPE } from '../../config/schema.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT } from '../io.ts';
import { STORAGE_CFG } from './config-check.ts';
import { type CommandRun, putJson } from './context.ts';

const SHELLS = ['bash', 'zsh'] as const;
type Shell = (typeof SHELLS)[number];

export const completionCommand: CommandDefinition = {
  path: 'completion',
  group: 'Understand:',
  description: 'Prints a completion script for the shell.',
  exits: { 0: 'printed' },
  examples: [
    { line: 'completion bash > /usr/share/bash-completion/completions/pve-truenas', what: 'for every bash of this node' },
    { line: 'completion zsh > ~/.zfunc/_pve-truenas', what: 'for a zsh with ~/.zfunc in its fpath' },
  ],
  json: z.object({ shell: z.enum(SHELLS), script: z.string() }),
  build: (command, runner, program) =>
    command
      .addArgument(new Argument('<SHELL>', 'the shell').choices(SHELLS))
      .action((shell: Shell) => runner(command, completion(program, shell))),
};

/** `completion bash|zsh`: a script for the shell, made from the tree of commands, so it never lags behind it. */
function completion(program: Command, shell: Shell): CommandRun {
  return ({ io, json }) => {
    const script = shell === 'bash' ? bash(program) : zsh(program);
    if (json) putJson(io, { shell, script });
    else io.out(script);
    return Promise.resolve(EXIT.healthy);
  };
}

interface Place {
  /** Words of the path, `config check`. */
  readonly path: string;
  readonly words: readonly string[];
  readonly takesStorage: boolean;
}

/** Every point of the tree with what may follow there. */
function places(command: Command, path: readonly string[], inherited: readonly string[]): readonly Place[] {
  const flags = [...inherited, ...command.options.map((option) => option.long ?? option.short ?? '')];
  const subs = command.commands.map((sub) => sub.name());
  const choices = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const place = {
    path: path.join(' '),
    words: [...subs, ...choices, ...flags, '--help'],
    takesStorage: command.registeredArguments.some((argument) => argument.name() === 'STORAGE'),
  };
  return [place, ...command.commands.flatMap((sub) => places(sub, [...path, sub.name()], flags))];
}

/** Storages are read from the file: a key press must not wait for the daemon. */
const STORAGES = `$(sed -n 's/^${STORAGE_TYPE}:[[:space:]]*//p' ${STORAGE_CFG} 2>/dev/null)`;

function cases(program: Command, indent: string): string {
  return places(program, [], [])
    .map(({ path, words, takesStorage }) => {
      const all = takesStorage ? `${words.join(' ')} ${STORAGES}` : words.join(' ');
      return `${indent}'${path}') words="${all}" ;;`;
    })
    .join('\n');
}

function known(program: Command): string {
  return places(program, [], [])
    .map(({ path }) => path)
    .filter((path) => path !== '')
    .map((path) => `'${path}'`)
    .join('|');
}

function bash(program: Command): string {
  const name = program.name();
  return `# bash completion of ${name}: source it, or write it to /usr/share/bash-completion/completions/${name}
_pve_truenas() {
  local path='' next word words='' current="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
      ${known(program)}) path="$next" ;;
    esac
  done
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --file|--socket) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --vmid|--timeout) COMPREPLY=(); return ;;
  esac
  case "$path" in
${cases(program, '    ')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _pve_truenas ${name}
`;
}

function zsh(program: Command): string {
  const name = program.name();
  return `#compdef ${name}
# zsh completion of ${name}: write it to a file _${name} in a folder of $fpath
_pve_truenas() {
  local path_='' next word words_=''
  for word in "\${words[@]:1:$((CURRENT-2))}"; do
    next="\${path_:+$path_ }$word"
    case "$next" in
      ${known(program)}) path_="$next" ;;
    esac
  done
  case "\${words[CURRENT-1]}" in
    --file|--socket) _files; return ;;
    --vmid|--timeout) return ;;
  esac
  case "$path_" in
${cases(program, '    ').replaceAll('words="', 'words_="')}
  esac
  compadd -- \${(z)words_}
}
if [ "$funcstack[1]" = "_pve_truenas" ]; then _pve_truenas "$@"; else compdef _pve_truenas ${name}; fi
`;
}
