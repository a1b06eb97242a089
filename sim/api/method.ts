import * as z from 'zod';
import type { Access, CallContext, SimMethod, SimParam, SimRelease } from './contract.ts';
import { CallError, PythonError, ValidationErrors, ERRNO } from './contract.ts';

/** `access` for any ONE of the roles (truenas-api 4). */
export function roles(...names: readonly string[]): (release: SimRelease) => Access {
  return () => ({ roles: names });
}

export interface MethodOptions {
  readonly releases?: readonly SimRelease[];
  readonly job?: boolean;
  readonly query?: boolean;
}

/** A method whose parameters are the same on all its releases, or made for each by a function. */
export function method(
  name: string,
  access: (release: SimRelease) => Access,
  params: readonly SimParam[] | ((release: SimRelease) => readonly SimParam[]),
  run: (args: readonly unknown[], context: CallContext) => unknown,
  options: MethodOptions = {},
): SimMethod {
  return {
    name,
    access,
    params: typeof params === 'function' ? params : () => params,
    run,
    ...options,
  };
}

/** TrueNAS's default string: at most 1024 characters (truenas-api 2.2). */
export const str = z.string().max(1024);
export const nonEmpty = str.min(1);
export const integer = z.int();

export function param(name: string, schema: z.ZodType, fallback?: unknown): SimParam {
  return fallback === undefined ? { name, schema } : { name, schema, fallback };
}

/** What `get_instance` answers for a missing id: -32602 with extra `[[null, "...", 2]]` (truenas-api 2.2). */
export function instanceNotFound(verboseName: string, id: unknown): ValidationErrors {
  return new ValidationErrors([[null, `${verboseName} ${String(id)} does not exist`, ERRNO.ENOENT]]);
}

/** Collects what a plugin's validation finds; `check` throws when there is something. */
export class Problems {
  private readonly items: [string, string, number][] = [];

  add(attribute: string, message: string, errno: number = ERRNO.EINVAL): void {
    this.items.push([attribute, message, errno]);
  }

  check(): void {
    if (this.items.length > 0) throw new ValidationErrors(this.items);
  }
}

export function notModelled(what: string): CallError {
  return new CallError(`not modelled by the simulator: ${what}`, 'EOPNOTSUPP');
}

/** `repr()` of a Python string, for the texts that quote one. */
export function pythonQuote(text: string): string {
  return text.includes("'") && !text.includes('"') ? `"${text}"` : `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** `service.object` and `query` with `get` when nothing fits; the reason is Python's repr. */
export function matchNotFound(argument?: string): PythonError {
  return new PythonError('MatchNotFound', argument === undefined ? 'MatchNotFound()' : argument);
}

/** A fault is worded by what was sent: a field of the wrong type is not a missing one. */
export const REPORT = { reportInput: true } as const;

/** Reports what a model inside a union found under the name of that model, as pydantic does. */
export function forwardIssues(context: z.RefinementCtx, name: string, issues: readonly z.core.$ZodIssue[]): void {
  for (const issue of issues) context.issues.push({ ...issue, input: issue.input, path: [name, ...issue.path] } as z.core.$ZodRawIssue);
}
