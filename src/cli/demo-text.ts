/** What the demo's reports are made of. Everything printed as a command can be pasted into any shell, from any folder. */

export interface Step {
  readonly what: string;
  /** A command. */
  readonly line: string;
}

export function steps(all: readonly Step[]): string {
  return all.map(({ what, line }) => `  # ${what}\n  ${line}\n`).join('\n');
}

/** A request with a user's key. */
export function curlLine(key: string, options: string, url: string): string {
  return `curl ${options}-H "Authorization: Bearer ${key}" -w '\\n' ${url}`;
}

/** @param rows the first has the headings */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
    .join('\n');
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** As a POSIX shell reads it back. */
export function quoted(text: string): string {
  return /^[\w/.,:@+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
