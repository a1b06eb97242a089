import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import type { Clock } from '../../src/core/ports.ts';
import type { SimRelease } from '../api/contract.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { restRoutes, type RestParts } from '../rest/rest-api.ts';
import { API_VERSIONS } from './api-versions.ts';
import type { Origin } from './caller.ts';
import type { Dispatcher } from './dispatcher.ts';

export interface HttpBindings {
  readonly incoming: IncomingMessage;
}

export interface HttpParts extends Omit<RestParts, 'origin'> {
  readonly release: SimRelease;
  readonly dispatcher: Dispatcher;
  readonly faults: FaultPlan;
  readonly bootId: string;
  readonly clock: Pick<Clock, 'now'>;
  origin(request: IncomingMessage): Origin;
}

/** Plain HTTP: `/api/versions`, `/api/boot_id` and, on 25.x, REST (truenas-api 1, 13). */
export function httpApp(parts: HttpParts): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.use('*', async (context, next) => {
    const faults = parts.faults.take(`${context.req.method} ${context.req.path}`, false);
    const struck = faults.map((fault) => fault.fault);
    if (struck.includes('mute') || struck.includes('drop-answer')) return RESPONSE_ALREADY_SENT;
    if (struck.includes('cut-before') || struck.includes('cut-after')) {
      context.env.incoming.socket.destroy();
      return RESPONSE_ALREADY_SENT;
    }
    if (struck.includes('error')) return context.json({ message: 'Failed on purpose' }, 500);
    for (const fault of faults) {
      if (fault.fault === 'http-status') return refusedWith(fault.status, fault.retryAfter);
      if (fault.fault === 'answer') return context.json(fault.result ?? null);
      if (fault.fault === 'raw') return context.html(fault.text.repeat(fault.repeat));
    }
    await next();
    context.header('date', new Date(parts.clock.now()).toUTCString());
    return undefined;
  });
  app.get('/api/versions', (context) => context.json(API_VERSIONS[parts.release]));
  if (parts.release !== '25.04') app.get('/api/boot_id', (context) => context.json(parts.bootId));
  if (parts.release !== '26.0') app.route('/api/v2.0', restRoutes(parts));
  app.notFound((context) => context.text('404: Not Found', 404));
  return app;
}

function refusedWith(status: number, retryAfter: string | undefined): Response {
  return new Response(STATUS_CODES[status] ?? '', { status, headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter } });
}
