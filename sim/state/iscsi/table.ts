import { PythonError } from '../../api/contract.ts';

interface Row {
  readonly id: number;
}

export interface TableSettings<T extends Row> {
  /** SQL name, for the texts of integrity errors */
  readonly name: string;
  readonly columnPrefix: string;
  /** columns that the database keeps unique (null is not compared) */
  readonly unique: readonly (keyof T & string)[];
  changed(): void;
}

/**
 * One table of TrueNAS's SQLite database. Only what the database itself checks is checked here; the services check before,
 * unlocked, so two requests can both pass and the second meets an IntegrityError (truenas-api 2.2, 11).
 */
export class Table<T extends Row> {
  private readonly settings: TableSettings<T>;
  private readonly rows = new Map<number, T>();

  constructor(settings: TableSettings<T>) {
    this.settings = settings;
  }

  all(): T[] {
    return [...this.rows.values()];
  }

  get(id: number): T | undefined {
    return this.rows.get(id);
  }

  find(test: (row: T) => boolean): T | undefined {
    for (const row of this.rows.values()) if (test(row)) return row;
    return undefined;
  }

  filter(test: (row: T) => boolean): T[] {
    return this.all().filter(test);
  }

  /** SQLite gives the highest id plus one: the id of a row deleted last is used again. */
  nextId(): number {
    let highest = 0;
    for (const id of this.rows.keys()) highest = Math.max(highest, id);
    return highest + 1;
  }

  insert(row: T): T {
    this.checkUnique(row);
    this.rows.set(row.id, row);
    this.settings.changed();
    return row;
  }

  update(row: T): T {
    this.checkUnique(row);
    this.rows.set(row.id, row);
    this.settings.changed();
    return row;
  }

  remove(id: number): void {
    if (this.rows.delete(id)) this.settings.changed();
  }

  replaceAll(rows: readonly T[]): void {
    this.rows.clear();
    for (const row of rows) {
      if (this.rows.has(row.id)) throw new Error(`the stored table ${this.settings.name} has id ${row.id} twice`);
      this.checkUnique(row);
      this.rows.set(row.id, row);
    }
  }

  private checkUnique(row: T): void {
    for (const column of this.settings.unique) {
      const value = row[column];
      if (value === null) continue;
      for (const other of this.rows.values()) {
        if (other.id !== row.id && other[column] === value) {
          throw new PythonError(
            'IntegrityError',
            `(sqlite3.IntegrityError) UNIQUE constraint failed: ${this.settings.name}.${this.settings.columnPrefix}${column}`,
          );
        }
      }
    }
  }
}

/** What an insert with a reference to nothing gets (PRAGMA foreign_keys=ON). */
export function foreignKeyError(): PythonError {
  return new PythonError('IntegrityError', '(sqlite3.IntegrityError) FOREIGN KEY constraint failed');
}
