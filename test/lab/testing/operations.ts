import type { LunSpec } from '../../../src/core/host-port.ts';

/** What TrueNAS would tell of a LUN; made by the tests themselves. */
export type Spec = LunSpec;

/** `script`: a shell script run by the driver itself, so that the world changes under one and the same process. */
export type Operation =
  | { readonly what: 'attach' | 'detach' | 'grow' | 'flush' | 'holders'; readonly spec: Spec; readonly ms?: number }
  | { readonly what: 'script'; readonly text: string };

export interface Orders {
  readonly operations: readonly Operation[];
  /** All at once instead of one after the other. */
  readonly together?: boolean;
  /** The process kills itself before so many commands and changes of files have been made. */
  readonly dieBefore?: number;
}

/** The tests' own orders as the driver reads them; no schema library, which would take most of its start under an emulated CPU. */
export function isOrders(value: unknown): value is Orders {
  return typeof value === 'object' && value !== null && 'operations' in value && Array.isArray(value.operations);
}

/** Either what came of it (attach: the device; holders: their names) or the error. */
export type Outcome =
  | { readonly what: string; readonly value: string }
  | {
      readonly what: string;
      readonly code: string;
      readonly message: string;
      readonly causes: readonly string[];
      readonly hints: readonly string[];
    };
