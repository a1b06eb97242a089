import { defineConfig } from 'vitest/config';

// `unit` needs nothing but Node; the others start real processes and sockets (see test/README.md).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          pool: 'threads',
          // Files may share modules, since none mocks one for another (src/host/sys-files-gone.test.ts cleans up): loading them anew for each takes more than the tests do.
          isolate: false,
          include: ['src/**/*.test.ts', 'sim/**/*.test.ts', 'tools/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      { test: { name: 'monitoring', include: ['test/monitoring/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      { test: { name: 'performance', include: ['test/performance/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 300_000 } },
      // VMs (test/lab/README.md), those of two files at once; not part of `make test`.
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          // an emulated CPU on a machine that has other things to do is slow; a test that hangs ends by its script's own seconds
          testTimeout: 900_000,
          hookTimeout: 900_000,
          pool: 'forks',
          // VMs of two files keep two cores busy; with those of three each test takes longer, and all together as long
          maxWorkers: 2,
          setupFiles: ['test/lab/testing/own-place.ts'],
          globalSetup: ['test/lab/testing/take-down.ts'],
        },
      },
      { test: { name: 'flows', include: ['test/flows/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 2 } },
      {
        test: {
          name: 'chaos',
          include: ['test/chaos/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 2,
          // of those that say so: daemons that wait for 20 s of their own cost next to nothing
          maxConcurrency: 5,
        },
      },
    ],
  },
});
