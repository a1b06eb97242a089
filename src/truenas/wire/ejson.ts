import * as z from 'zod';

/** A date on the wire, `{"$date": ms since the epoch}` (truenas-api 2.1), as whole seconds since the epoch. */
export const ejsonDateSeconds = z.looseObject({ $date: z.number() }).transform((date) => Math.floor(date.$date / 1000));
