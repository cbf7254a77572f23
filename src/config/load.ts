/** Reads the configuration of this process: file, then environment. The only place that reads `process.env`. */
import { dirname, resolve } from 'node:path';
import type { Config } from './config.ts';
import { ConfigError, type Problem } from './config-error.ts';
import { type ConfigFile, findConfigFile, readConfigFile } from './config-file.ts';
import { applyEnvironment, type Environment, type Overlay } from './environment.ts';
import { knownKeys } from './known-keys.ts';
import { parseConfig } from './parse-config.ts';
import { findIn, type Tree, withValue } from './tree.ts';

export interface ConfigSources {
  /** The file to read; without it `config.yaml`, `config.yml` or `config.json` of `cwd` is read when there is one. */
  readonly file?: string | undefined;
  /** Default: the working directory of the process. */
  readonly cwd?: string;
  /** Default: the environment of the process. */
  readonly env?: Environment;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file that was read; undefined when there was none. */
  readonly source: string | undefined;
}

/** Throws ConfigError, whose message is one line for the operator. */
export function loadConfig(sources: ConfigSources = {}): LoadedConfig {
  const { file: asked, cwd = process.cwd(), env = process.env } = sources;
  const file = findConfigFile(asked, cwd);
  const overlay = applyEnvironment(file === undefined ? {} : readConfigFile(file), env);
  const { config, problems = [] } = parseConfig(withAbsolutePaths(overlay, file, cwd));
  const located = problems.map((problem) => ({ ...problem, origin: originOf(problem, overlay, file) }));
  if (config === undefined || overlay.problems.length > 0) throw new ConfigError([...overlay.problems, ...located]);
  return { config, source: file?.path };
}

function originOf(problem: Problem, overlay: Overlay, file: ConfigFile | undefined): string {
  return overlay.variableFor(problem.path) ?? file?.label ?? 'configuration';
}

/** Paths count from the file's folder, so that one file means the same wherever CallFS is started; from `cwd` when a variable sets them. */
function withAbsolutePaths(overlay: Overlay, file: ConfigFile | undefined, cwd: string): Tree {
  const home = file === undefined ? resolve(cwd) : dirname(file.path);
  return knownKeys
    .filter((key) => key.kind === 'path')
    .reduce((tree, { path, fallback }) => {
      const value = findIn(tree, path) ?? fallback;
      if (typeof value !== 'string' || value === '') return tree;
      return withValue(tree, path, resolve(overlay.variableFor(path) === undefined ? home : cwd, value));
    }, overlay.tree);
}
