import { cliPage } from './cli-page.ts';
import { errorsPage } from './errors-page.ts';
import { metricsPage } from './metrics-page.ts';
import { settingsPage } from './settings-page.ts';

export interface Page {
  /** relative to the root of the project */
  readonly path: string;
  readonly make: () => string;
}

/** The pages that are never written by hand. */
export const PAGES: readonly Page[] = [
  { path: 'docs/reference/settings.md', make: settingsPage },
  { path: 'docs/reference/errors.md', make: errorsPage },
  { path: 'docs/reference/cli.md', make: cliPage },
  { path: 'docs/reference/metrics.md', make: metricsPage },
];
