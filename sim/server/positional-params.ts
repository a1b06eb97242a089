import { ERRNO, ValidationErrors, type SimParam, type ValidationItem } from '../api/contract.ts';
import { pydanticItems } from './pydantic-errors.ts';

/**
 * Checks positional arguments against a method's models: strict, all faults at once, in the words of pydantic
 * (truenas-api 2.2). Errors: ValidationErrors.
 */
export function parsePositional(args: readonly unknown[], params: readonly SimParam[]): unknown[] {
  if (args.length > params.length) {
    throw new ValidationErrors([['', `Too many arguments (expected ${params.length}, found ${args.length})`, ERRNO.EINVAL]]);
  }
  const faults: ValidationItem[] = [];
  const values = params.map((param, index) => {
    let value = args[index];
    if (index >= args.length) {
      if (param.fallback === undefined) {
        faults.push([param.name, 'Field required', ERRNO.EINVAL]);
        return undefined;
      }
      value = param.fallback;
    }
    const parsed = param.schema.safeParse(value, { reportInput: true });
    if (parsed.success) return parsed.data;
    faults.push(...pydanticItems(param.attributePath ?? param.name, parsed.error.issues));
    return undefined;
  });
  if (faults.length > 0) throw new ValidationErrors(faults);
  return values;
}
