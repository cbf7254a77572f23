/** What single-use links work with beside the rest, and the tokens they are known by outside. */
import { createHmac, randomBytes } from 'node:crypto';
import type { User } from '../core/permissions.ts';
import type { EngineContext } from './engine-context.ts';
import type { LinkTurns } from './link-turns.ts';

export interface LinkContext extends EngineContext {
  /** Undefined: there is no such user any more. */
  readonly findUser: (name: string) => User | undefined;
  /** The same on all instances. Who has only the store can neither find a token nor make one up. Empty: nobody set one. */
  readonly linkSecret: string;
  readonly turns: LinkTurns;
}

const TOKEN_BYTES = 32;

/** 256 random bits, as they stand in a URL. */
export const newToken = (): string => randomBytes(TOKEN_BYTES).toString('base64url');

/** Whether a text can be a token at all. */
export const isToken = (text: string): boolean => /^[\w-]{43}$/.test(text);

/** What the store knows a token by. */
export const digestOf = ({ linkSecret }: LinkContext, token: string): string =>
  createHmac('sha256', linkSecret).update(token).digest('base64url');
