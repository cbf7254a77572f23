/** What the rest of the program sees of the configuration. */
import type * as z from 'zod';
import type { configSchema } from './schema.ts';

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/**
 * A complete, checked configuration under the names that operators write in the file.
 *
 * Values are resolved: every duration (`server.idle_timeout`, `cluster.connect_timeout`, `cluster.response_timeout`,
 * `cluster.idle_timeout`, `tiering[].older_than`, `tiering_rounds.every`) is a whole number of **milliseconds**,
 * `server.max_upload_size` and `tiering_rounds.rate` are in **bytes** with 0 for no limit, paths are absolute or empty,
 * and URLs are in normal form without a trailing slash.
 * `handlers.enable_cross_server_support` and `tiering[].larger_than` are null when the operator did not decide.
 */
export type Config = DeepReadonly<z.output<typeof configSchema>>;
