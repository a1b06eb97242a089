import { Argument, InvalidArgumentError } from 'commander';
import { parseSize } from '../../core/sizes.ts';

/** A whole number from `min` to `max`, decimal digits only. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** PVE's rule for storage ids; what cannot be a storage is not asked for. */
export function storageId(text: string): string {
  if (text.length <= 100 && /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i.test(text)) return text;
  throw new InvalidArgumentError('It is not a storage id.');
}

/** A size with its unit, in bytes. */
export function sizeWithUnit(text: string): number {
  try {
    return parseSize(text);
  } catch {
    throw new InvalidArgumentError('It must be a number with a unit, K, M, G or T (base 1024), for example 100G or 1.5T.');
  }
}

/** `[STORAGE]`: one storage instead of all. */
export function storageArgument(): Argument {
  return new Argument('[STORAGE]', 'only this storage').argParser(storageId);
}
