import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import * as z from 'zod';
import type { Release } from '../../src/core/array-port.ts';

const method = z.looseObject({
  argNames: z.array(z.string()),
  args: z.record(z.string(), z.unknown()),
  result: z.record(z.string(), z.unknown()).optional(),
});
type Method = z.output<typeof method>;

const call = z.looseObject({
  method: z.string(),
  params: z.array(z.unknown()).default([]),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
});

/** Holds recorded calls against the published schemas of a release, where that folder is there. */
export class SchemaCheck {
  static readonly reason = 'no schemas: set TRUENAS_SCHEMAS or put shared/reference/truenas-schemas beside the project';
  readonly #directory: string;
  readonly #ajv = new Ajv2020({ strict: false });
  readonly #releases = new Map<Release, Record<string, Method>>();
  readonly #compiled = new WeakMap<object, ValidateFunction>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static find(): SchemaCheck | null {
    const directory = process.env['TRUENAS_SCHEMAS'] ?? join(import.meta.dirname, '../../../shared/reference/truenas-schemas');
    if (existsSync(join(directory, '25.10.json'))) return new SchemaCheck(directory);
    console.warn(SchemaCheck.reason);
    return null;
  }

  /** What is wrong with one recorded call; nothing = []. Refused requests are not judged. */
  check(release: Release, recorded: unknown): string[] {
    const { method: name, params, result, error } = call.parse(recorded);
    const schema = this.#methods(release)[name];
    if (schema === undefined) return [`${name}: no such method on ${release}`];
    if (params.length > schema.argNames.length) return [`${name}: too many arguments`];
    const args: Record<string, unknown> = {};
    for (const [index, argument] of schema.argNames.slice(0, params.length).entries()) args[argument] = params[index];
    const faults = this.#validate(schema.args, args).map((text) => `${name} request: ${text}`);
    if (error !== undefined && error !== null) return faults;
    if (schema.result === undefined) return faults;
    return [...faults, ...this.#validate(schema.result, { result }).map((text) => `${name} answer: ${text}`)];
  }

  #validate(schema: Record<string, unknown>, value: unknown): string[] {
    let validate = this.#compiled.get(schema);
    if (validate === undefined) {
      validate = this.#ajv.compile(schema);
      this.#compiled.set(schema, validate);
    }
    return validate(value) ? [] : [this.#ajv.errorsText(validate.errors).slice(0, 400)];
  }

  #methods(release: Release): Record<string, Method> {
    let methods = this.#releases.get(release);
    if (methods === undefined) {
      methods = z.record(z.string(), method).parse(JSON.parse(readFileSync(join(this.#directory, `${release}.json`), 'utf8')));
      this.#releases.set(release, methods);
    }
    return methods;
  }
}
