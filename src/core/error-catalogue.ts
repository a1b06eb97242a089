import { ARRAY_ERRORS } from './catalogue/array.ts';
import { CONNECTION_ERRORS } from './catalogue/connection.ts';
import { NODE_ERRORS } from './catalogue/node.ts';
import { REQUEST_ERRORS } from './catalogue/requests.ts';
import { SETUP_ERRORS } from './catalogue/setup.ts';

/** Every stable error code with what it means. docs/reference/errors.md is generated from this table. */
export const ERROR_CATALOGUE = { ...REQUEST_ERRORS, ...CONNECTION_ERRORS, ...ARRAY_ERRORS, ...NODE_ERRORS, ...SETUP_ERRORS } as const;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;
