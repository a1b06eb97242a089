import pino from 'pino';
import type { Log, LogFields } from '../core/ports.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** `journal`: sd-daemon(3) level prefix and JSON, what systemd expects on stdout; `text`: for people at a terminal. */
export type LogFormat = 'journal' | 'text';

/** syslog priority by pino level, sd-daemon(3) */
const PRIORITY: Readonly<Record<number, number>> = { 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** What must never be written, wherever it stands in the fields (law 10). */
const SECRET_PATHS = ['apiKey', 'api_key', 'password', 'chap_password', 'secret', 'token'].flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/** The least severe level that is written; may be changed while the log is in use. */
export interface LevelSetting {
  level: LogLevel;
}

/** The daemon's log. `write` gets one line at a time, with its newline. */
export function createLog(setting: LogLevel | LevelSetting, format: LogFormat, write: (line: string) => void): Log {
  const least = typeof setting === 'string' ? { level: setting } : setting;
  const destination = {
    write: (json: string): void => {
      const entry = JSON.parse(json) as { level: number; time: number; msg: string } & Record<string, unknown>;
      write(format === 'journal' ? journalLine(entry) : textLine(entry));
    },
  };
  // children of pino keep the level that they were born with, so the level is judged here
  const logger = pino({ level: 'debug', base: null, redact: { paths: SECRET_PATHS, censor: '********' } }, destination);
  return wrap(logger, least);
}

function wrap(logger: pino.Logger, least: Readonly<LevelSetting>): Log {
  const wanted = (level: LogLevel): boolean => LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least.level);
  return {
    debug: (message, fields = {}) => {
      if (wanted('debug')) logger.debug(fields, message);
    },
    info: (message, fields = {}) => {
      if (wanted('info')) logger.info(fields, message);
    },
    warn: (message, fields = {}) => {
      if (wanted('warn')) logger.warn(fields, message);
    },
    error: (message, fields = {}) => {
      if (wanted('error')) logger.error(fields, message);
    },
    child: (fields: LogFields) => wrap(logger.child(fields), least),
  };
}

interface Entry {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

function journalLine(entry: Entry): string {
  // The journal stamps each line itself.
  const { level, time, msg, ...fields } = entry;
  return `<${PRIORITY[level] ?? 6}>${msg}${tail(fields)}\n`;
}

function textLine(entry: Entry): string {
  const { level, time, msg, ...fields } = entry;
  const name = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' }[level] ?? 'info';
  return `${new Date(time).toISOString()} ${name.padEnd(5)} ${msg}${tail(fields)}\n`;
}

function tail(fields: Readonly<Record<string, unknown>>): string {
  return Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`;
}
