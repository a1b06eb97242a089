import { PROTOCOL_VERSION } from '../protocol/envelope.ts';

/**
 * One call through all that serves calls. Resolves when it was answered. Errors: the answer is a failure, or none came before `signal`
 * aborted (its reason).
 */
export async function signOfLife(rpc: (line: string, signal: AbortSignal) => Promise<string | null>, signal: AbortSignal): Promise<void> {
  const line = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'daemon.hello',
    params: { protocol: PROTOCOL_VERSION, caller: 'watchdog' },
  });
  let stop: () => void = () => undefined;
  const late = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    const answer = await Promise.race([rpc(line, signal), late]);
    if (answer === null || !/"result":/.test(answer)) throw new Error(`daemon.hello was answered with ${String(answer)}`);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
