/** Finds and reads the configuration file. JSON is read as YAML, of which it is a part. */
import { readFileSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import * as yaml from 'yaml';
import { ConfigError } from './config-error.ts';
import { isTree, type Tree } from './tree.ts';

const DEFAULT_NAMES = ['config.yaml', 'config.yml', 'config.json'] as const;

export interface ConfigFile {
  /** Absolute. */
  readonly path: string;
  /** As messages name it: how the operator wrote it. */
  readonly label: string;
}

/** The file that was asked for, else the first of `config.yaml`, `config.yml` and `config.json` in `cwd`. */
export function findConfigFile(asked: string | undefined, cwd: string): ConfigFile | undefined {
  if (asked !== undefined) return { path: resolve(cwd, asked), label: asked };
  const path = DEFAULT_NAMES.map((name) => resolve(cwd, name)).find((candidate) => isFile(candidate));
  return path === undefined ? undefined : { path, label: basename(path) };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What the file holds, unchecked. Throws ConfigError when it cannot be read or is not a YAML or JSON map. */
export function readConfigFile(file: ConfigFile): Tree {
  const content: unknown = parseYaml(readText(file), file.label);
  if (content === null || content === undefined) return {};
  if (isTree(content)) return content;
  throw fileProblem(file.label, 'must be a map of sections such as server and auth');
}

function readText(file: ConfigFile): string {
  try {
    return readFileSync(file.path, 'utf8');
  } catch (error) {
    throw fileProblem(file.label, `cannot be read: ${reasonOf(error)}`, error);
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EISDIR') return 'it is a directory';
  if (code === 'EACCES') return 'permission denied';
  return typeof code === 'string' ? code : 'unknown error';
}

/** Replaces messages of the parser that quote the file, which may hold secrets. */
const QUOTING_MESSAGES: ReadonlyMap<string, string> = new Map([
  ['BAD_ALIAS', 'unknown alias; put text that starts with * in quotes'],
  ['BAD_COLLECTION_TYPE', 'tag of another type'],
  ['BAD_DIRECTIVE', 'bad directive'],
  ['BAD_DQ_ESCAPE', 'invalid escape sequence in a text in double quotes'],
  ['BLOCK_AS_IMPLICIT_KEY', 'a map cannot start here; put text that contains ": " in quotes'],
  ['MULTIPLE_DOCS', 'only one document is allowed'],
  ['TAG_RESOLVE_FAILED', 'unknown tag; put text that starts with ! in quotes'],
  ['UNEXPECTED_TOKEN', 'unexpected text'],
]);

function parseYaml(text: string, label: string): unknown {
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, { prettyErrors: false, lineCounter: lines, logLevel: 'error' });
  const fail = (offset: number, message: string): ConfigError => {
    const { line, col } = lines.linePos(offset);
    return fileProblem(`${label}:${line}:${col}`, message);
  };
  const syntaxError = document.errors[0] ?? document.warnings[0];
  if (syntaxError !== undefined) {
    throw fail(syntaxError.pos[0], QUOTING_MESSAGES.get(syntaxError.code) ?? syntaxError.message);
  }
  yaml.visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) === undefined)
        throw fail(alias.range?.[0] ?? 0, QUOTING_MESSAGES.get('BAD_ALIAS') ?? '');
    },
  });
  return plainValue(document, label);
}

function plainValue(document: yaml.Document, label: string): unknown {
  try {
    return document.toJS();
  } catch {
    // The one thing left that the library refuses; its message may quote the file.
    throw fileProblem(label, 'aliases repeat too much');
  }
}

function fileProblem(origin: string, message: string, cause?: unknown): ConfigError {
  return new ConfigError([{ origin, path: [], message }], cause === undefined ? undefined : { cause });
}
