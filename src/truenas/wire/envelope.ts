import * as z from 'zod';

/** `data` of an error (truenas-api 2.2). `extra` has another shape for every exception: parsed by error-map.ts. */
const errorData = z.looseObject({
  error: z.number().int().optional().catch(undefined),
  errname: z.string().nullish().catch(undefined),
  reason: z.string().nullish().catch(undefined),
  extra: z.unknown().optional(),
});

/** The `error` member of an answer. */
export const wireError = z.looseObject({
  code: z.number(),
  message: z.string().catch(''),
  data: errorData.nullish().catch(undefined),
});
export type WireError = z.output<typeof wireError>;

const failure = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.union([z.number(), z.string(), z.null()]), error: wireError });
const success = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.union([z.number(), z.string()]), result: z.unknown() });
const notification = z.looseObject({ jsonrpc: z.literal('2.0'), method: z.string(), params: z.unknown().optional() });

/** `params` of `collection_update` (truenas-api 6). */
export const collectionUpdate = z.looseObject({
  msg: z.enum(['added', 'changed', 'removed']),
  collection: z.string(),
  id: z.union([z.number(), z.string()]).optional(),
  fields: z.record(z.string(), z.unknown()).nullish(),
});

export type Incoming =
  | { readonly kind: 'result'; readonly id: number | string; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: number | string | null; readonly error: WireError }
  | { readonly kind: 'notification'; readonly method: string; readonly params: unknown }
  | { readonly kind: 'garbage'; readonly reason: string };

/** Takes one text frame apart (truenas-api 2). Never throws: what is no JSON-RPC message is `garbage`. */
export function parseIncoming(text: string): Incoming {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return { kind: 'garbage', reason: 'a frame is not JSON' };
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    return { kind: 'garbage', reason: 'a frame is not a JSON-RPC object' };
  }
  if ('error' in message) {
    const parsed = failure.safeParse(message);
    if (parsed.success) return { kind: 'error', id: parsed.data.id, error: parsed.data.error };
  } else if ('result' in message) {
    const parsed = success.safeParse(message);
    if (parsed.success) return { kind: 'result', id: parsed.data.id, result: parsed.data.result };
  } else if ('method' in message) {
    const parsed = notification.safeParse(message);
    if (parsed.success) return { kind: 'notification', method: parsed.data.method, params: parsed.data.params };
  }
  return { kind: 'garbage', reason: 'a frame is no JSON-RPC 2.0 answer or notification' };
}
