import type { ConfigStep, ConfigTree } from '../configfs-shell.ts';

/** configfs as far as steps are concerned: what is in use or not empty stays, links lead to what is there. */
export class FakeConfigfs {
  private readonly directories = new Set<string>();
  private readonly links = new Map<string, string>();
  private readonly files = new Map<string, string>();

  /** Errors: Error for a step that the kernel would refuse. */
  change(groups: readonly (readonly ConfigStep[])[]): void {
    for (const step of groups.flat()) this.perform(step);
  }

  tree(): ConfigTree {
    return { directories: this.directories, links: this.links, files: this.files, devices: new Map() };
  }

  /** Everything but the directories in which the kernel has it. */
  paths(): string[] {
    return [...this.directories, ...this.links.keys(), ...this.files.keys()].sort();
  }

  private perform(step: ConfigStep): void {
    const [kind, path] = step;
    switch (kind) {
      case 'mkdir':
        this.directories.add(path);
        break;
      case 'rmdir':
        this.remove(path);
        break;
      case 'unlink':
        if (!this.links.delete(path)) throw new Error(`unlink ${path}: no such file`);
        break;
      case 'write':
        if (!this.directories.has(path.slice(0, path.lastIndexOf('/')))) throw new Error(`write ${path}: no such file`);
        this.files.set(path, step[2]);
        break;
      case 'link':
        if (!this.directories.has(path)) throw new Error(`link to ${path}: no such file`);
        this.links.set(step[2], path);
        break;
    }
  }

  private remove(path: string): void {
    if (!this.directories.has(path)) throw new Error(`rmdir ${path}: no such file`);
    const below = (one: string): boolean => one.startsWith(`${path}/`);
    if ([...this.links.values()].includes(path)) throw new Error(`rmdir ${path}: in use`);
    if ([...this.links.keys(), ...this.directories].some(below)) throw new Error(`rmdir ${path}: not empty`);
    this.directories.delete(path);
    for (const one of [...this.files.keys()].filter(below)) this.files.delete(one);
  }
}
