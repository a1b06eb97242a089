import * as z from 'zod';
import { POOL_STATUSES } from '../state/pool-state.ts';
import { faultModel } from './fault-model.ts';

/** bytes; a longer line closes the control connection */
export const MAX_CONTROL_LINE = 256 * 1024;

const initiatorName = z.string().min(1).max(223);
/** A target's name or its full IQN. */
const targetName = z.string().min(1).max(223);

/** One JSON object a line on the control socket; answered by `{"ok":true,"result":...}` or `{"ok":false,"error":"..."}`. */
export const controlRequest = z.discriminatedUnion('command', [
  z.strictObject({ command: z.literal('ping') }),
  z.strictObject({ command: z.literal('add'), fault: faultModel }),
  z.strictObject({ command: z.literal('list') }),
  z.strictObject({ command: z.literal('remove'), id: z.int() }),
  z.strictObject({ command: z.literal('clear') }),
  z.strictObject({ command: z.literal('calls') }),
  z.strictObject({ command: z.literal('reset-calls') }),
  z.strictObject({ command: z.literal('reset-rate-limit') }),
  z.strictObject({ command: z.literal('state') }),
  /** `detail` left out: zpool's own sentence for this state. */
  z.strictObject({ command: z.literal('pool-status'), status: z.enum(POOL_STATUSES), detail: z.string().max(4096).nullable().optional() }),
  z.strictObject({
    command: z.literal('session-add'),
    target: targetName,
    initiator: initiatorName,
    address: z.string().min(1).max(64).default('127.0.0.1'),
  }),
  z.strictObject({ command: z.literal('session-remove'), target: targetName, initiator: initiatorName }),
  z.strictObject({ command: z.literal('dataset-lock'), dataset: z.string().min(1).max(255), locked: z.boolean().default(true) }),
  z.strictObject({ command: z.literal('zvol-busy'), zvol: z.string().min(1).max(255), busy: z.boolean().default(true) }),
  z.strictObject({ command: z.literal('reload-fails'), fails: z.boolean().default(true) }),
  z.strictObject({ command: z.literal('sessions') }),
  z.strictObject({ command: z.literal('revoke-key'), id: z.int().min(1) }),
  z.strictObject({
    command: z.literal('create-key'),
    username: z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/),
    roles: z.array(z.string()).max(100),
    name: z.string().min(1).max(200).optional(),
  }),
  z.strictObject({
    command: z.literal('clock-advance'),
    ms: z
      .int()
      .min(0)
      .max(400 * 86_400_000),
  }),
]);
export type ControlRequest = z.infer<typeof controlRequest>;
export type ControlInput = z.input<typeof controlRequest>;

export const controlAnswer = z.union([
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);
