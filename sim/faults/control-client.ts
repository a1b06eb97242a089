import { createConnection } from 'node:net';
import { controlAnswer, type ControlInput } from './control-protocol.ts';

const ANSWER_MS = 10_000;

/** One command to a running simulator. Errors: Error when nobody listens, answers in 10 s, or the command is refused. */
export function controlCall(path: string, request: ControlInput): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let buffer = '';
    const end = (error: Error | null, result?: unknown): void => {
      socket.destroy();
      if (error === null) resolve(result);
      else reject(error);
    };
    socket.setTimeout(ANSWER_MS, () => end(new Error(`no answer from ${path} within ${ANSWER_MS} ms`)));
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.once('error', (error) => end(new Error(`no simulator listens on ${path}: ${error.message}`)));
    socket.once('end', () => end(new Error(`${path} closed the connection without an answer`)));
    socket.on('data', (chunk: string) => {
      buffer += chunk;
      const newline = buffer.indexOf('\n');
      if (newline < 0) return;
      try {
        const answer = controlAnswer.parse(JSON.parse(buffer.slice(0, newline)));
        if (answer.ok) end(null, answer.result);
        else end(new Error(answer.error));
      } catch (error) {
        end(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}
