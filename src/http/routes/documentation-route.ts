/** `/openapi.json`, `/docs` and its style sheet: made when they are first asked for, then kept. */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CallFSError } from '../../core/errors.ts';
import { evaluatePreconditions } from '../../core/preconditions.ts';
import { VERSION } from '../../version.ts';
import { docsPage } from '../docs-page/page.ts';
import type { HttpServices } from '../http-services.ts';
import { openApiDocument } from '../openapi/document.ts';

/** Nothing but the page's own style sheet and its icon, which is in the page. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Checked again each time: another version of CallFS may answer. */
const CACHE_CONTROL = 'public, no-cache';

interface Content {
  readonly type: string;
  readonly policy?: string;
  readonly text: () => string;
}

/** What comes later counts more. */
const STYLE_SHEETS = ['frame', 'content', 'media'] as const;

function readStyle(name: (typeof STYLE_SHEETS)[number]): string {
  return readFileSync(new URL(`../docs-page/${name}.css`, import.meta.url), 'utf8');
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** By their paths. */
export function documentationRoutes({ externalUrl }: Pick<HttpServices, 'externalUrl'>): ReadonlyMap<string, Handler> {
  const describe = () => openApiDocument({ version: VERSION, externalUrl });
  const contents: Readonly<Record<string, Content>> = {
    '/openapi.json': { type: 'application/json', text: () => JSON.stringify(describe()) },
    '/docs': { type: 'text/html', policy: PAGE_POLICY, text: () => docsPage(describe()) },
    '/docs/style.css': { type: 'text/css', text: () => STYLE_SHEETS.map(readStyle).join('\n') },
  };
  return new Map(Object.entries(contents).map(([path, content]) => [path, handlerOf(content)]));
}

function handlerOf({ type, policy, text }: Content): Handler {
  let made: { readonly body: string; readonly etag: string } | undefined;
  return ({ headers, url, state }, reply) => {
    made ??= withTag(text());
    const { body, etag } = made;
    const conditions = { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
    const verdict = evaluatePreconditions(conditions, { etag, mtimeMs: 0 }, true);
    if (verdict === 'failed') throw new CallFSError('PRECONDITION_FAILED', `${url} is another one by now.`);
    reply.headers({ etag, 'cache-control': CACHE_CONTROL });
    if (policy !== undefined) reply.header('content-security-policy', policy);
    if (verdict === 'not-modified') return reply.code(304).send();
    state.bytes = Buffer.byteLength(body);
    return reply.type(`${type}; charset=utf-8`).send(body);
  };
}

function withTag(body: string) {
  return { body, etag: `"${hash('sha256', body, 'base64url')}"` };
}
