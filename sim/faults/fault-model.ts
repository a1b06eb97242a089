import * as z from 'zod';

/** Methods are API names, `*` (every API call), `GET /api/versions` or `connect` (a WebSocket being opened). */
const base = {
  method: z.string().min(1).max(200).default('*'),
  /** Only the n-th matching call, counted from when the fault was added. */
  nth: z.int().min(1).max(1_000_000).optional(),
  /** From the n-th matching call on. */
  from: z.int().min(1).max(1_000_000).optional(),
  /** At most so many calls. */
  times: z.int().min(1).max(1_000_000).optional(),
};

const ms = z.int().min(0).max(86_400_000);

/** The faults of the control socket. */
export const faultModel = z
  .discriminatedUnion('fault', [
    /** answered later, in ms */
    z.strictObject({ ...base, fault: z.literal('latency'), ms }),
    /** done, never answered */
    z.strictObject({ ...base, fault: z.literal('drop-answer') }),
    /** connection closed, nothing done */
    z.strictObject({ ...base, fault: z.literal('cut-before') }),
    /** done, then the connection is closed instead of an answer */
    z.strictObject({ ...base, fault: z.literal('cut-after') }),
    /** refused with this error, nothing done */
    z.strictObject({
      ...base,
      fault: z.literal('error'),
      code: z.int().default(-32001),
      errno: z.int().min(1).max(1000).default(14),
      reason: z.string().max(4096).default('Failed on purpose'),
      extra: z.unknown().default(null),
    }),
    /** the job of this method takes so many ms longer */
    z.strictObject({ ...base, fault: z.literal('slow-job'), ms }),
    /** the session of the caller is dropped before the call */
    z.strictObject({ ...base, fault: z.literal('session-expired') }),
    /** accepts, never answers, does nothing; with `*` neither HTTP requests nor new connections are answered */
    z.strictObject({ ...base, fault: z.literal('mute') }),
    /** answered with this result; nothing done unless `done` */
    z.strictObject({ ...base, fault: z.literal('answer'), result: z.unknown(), done: z.boolean().default(false) }),
    /** answered with this text, `repeat` times over, in the place of a message; nothing done unless `done` */
    z.strictObject({
      ...base,
      fault: z.literal('raw'),
      text: z.string(),
      repeat: z.int().min(1).max(10_000_000).default(1),
      done: z.boolean().default(false),
    }),
    /** HTTP only: `GET /api/versions` and `connect` are refused with this status; `retryAfter`: the header, seconds or a date */
    z.strictObject({
      ...base,
      fault: z.literal('http-status'),
      status: z.int().min(400).max(599).default(429),
      retryAfter: z
        .string()
        .regex(/^[\x20-\x7e]{1,40}$/)
        .optional(),
    }),
    /** allocations fail for lack of space */
    z.strictObject({ ...base, fault: z.literal('pool-full') }),
  ])
  .refine((fault) => fault.nth === undefined || (fault.from === undefined && fault.times === undefined), {
    message: 'nth goes with neither from nor times',
  });
export type Fault = z.infer<typeof faultModel>;
export type FaultInput = z.input<typeof faultModel>;
