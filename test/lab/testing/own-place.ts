/**
 * Before each test file: the worker that runs it has VMs and a network of its own, so that two files can run at once. The lab's
 * scripts find them in the environment.
 */
import { placeOf } from './places.ts';

Object.assign(process.env, placeOf(process.env['VITEST_POOL_ID'] ?? '1'));
