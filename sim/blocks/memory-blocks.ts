import type { BlockStore } from './block-store.ts';

/** No data at all: volumes are names with a size. */
export class MemoryBlocks implements BlockStore {
  readonly live = false;

  create(): Promise<void> {
    return Promise.resolve();
  }
  resize(): Promise<void> {
    return Promise.resolve();
  }
  copy(): Promise<void> {
    return Promise.resolve();
  }
  restore(): Promise<void> {
    return Promise.resolve();
  }
  remove(): Promise<void> {
    return Promise.resolve();
  }
  allocated(): number {
    return 0;
  }
  ensure(): Promise<void> {
    return Promise.resolve();
  }
  prune(): Promise<void> {
    return Promise.resolve();
  }
}
