/** The whole page: plain HTML without scripts, and nothing from anywhere else. */
import { type ErrorCode, statusByCode } from '../../core/errors.ts';
import type { OpenApiDocument } from '../openapi/document.ts';
import { ERROR_MEANINGS } from '../openapi/error-meanings.ts';
import { DocumentView, type OperationView } from './document-view.ts';
import { type Html, html, inline, prose } from './html.ts';
import { operationSection, parameterTable, requestLine } from './operation-section.ts';
import { headerRow, schemaSection } from './schema-section.ts';

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 3h5l2 2h7v9H1z' fill='%232563a8'/%3E%3C/svg%3E";

/** @returns the text of the page; what it refers to lies beside it: `docs/style.css`, `openapi.json` */
export function docsPage(document: OpenApiDocument): string {
  const view = new DocumentView(document);
  const { title, version } = document.info;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} ${version}: HTTP API</title>
<link rel="icon" href="${ICON}">
<link rel="stylesheet" href="docs/style.css">
</head>
<body>
<div class="bar"><a href="#top"><b>${title}</b> ${version}</a> <a href="#contents">Contents</a></div>
<div class="columns">
${contents(view)}
<main id="top">
${about(view)}
${tagSections(view)}
${everywhere(view)}
${reference(view)}
</main>
</div>
</body>
</html>
`.text;
}

function contents(view: DocumentView): Html {
  const groups = (view.document.tags ?? []).map(({ name }) => {
    const items = operationsOf(view, name).map(
      ({ id, method, summary }) =>
        html`<li><a href="#${id}"><span class="method ${method.toLowerCase()}">${method}</span>${summary}</a></li>`,
    );
    return html`<li><a class="group" href="#${slug(name)}">${name}</a><ul>${items}</ul></li>`;
  });
  return html`<nav id="contents" aria-label="Contents">
    <p class="brand"><a href="#top"><b>CallFS</b> ${view.document.info.version}</a></p>
    <ul>
      ${groups}
      <li><a class="group" href="#everywhere">Every resource</a></li>
      <li><a class="group" href="#errors">Errors</a></li>
      <li><a class="group" href="#header-fields">Header fields</a></li>
      <li><a class="group" href="#schemas">Schemas</a><ul>${view.schemas.map(
        ([name]) => html`<li><a href="#schema-${name}">${name}</a></li>`,
      )}</ul></li>
    </ul>
  </nav>`;
}

function about({ document }: DocumentView): Html {
  const [server] = document.servers ?? [];
  const url = server?.url === '/' ? 'http://127.0.0.1:8443' : (server?.url ?? '');
  return html`<header>
    <h1>CallFS <span class="version">${document.info.version}</span></h1>
    ${prose(document.info.description)}
    <p>The examples want two variables; this page as a document for programs is <a href="openapi.json"><code>openapi.json</code></a> (OpenAPI 3.1).</p>
    <pre class="sample"><code>CALLFS=${url}
KEY=…  # your key</code></pre>
  </header>`;
}

function tagSections(view: DocumentView): readonly Html[] {
  return (view.document.tags ?? []).map(
    ({ name, description }) => html`<section>
    <h2 id="${slug(name)}">${name}</h2>
    ${prose(description)}
    ${operationsOf(view, name).map((operation) => operationSection(view, operation))}
  </section>`,
  );
}

/** OPTIONS is the same everywhere, so it is told once. */
function everywhere(view: DocumentView): Html {
  const all = view.operations.filter(({ method }) => method === 'OPTIONS');
  const [first] = all;
  return html`<section>
    <h2 id="everywhere">Every resource</h2>
    <p><code>OPTIONS</code> is answered 204 with <code>Allow</code>, without a key and whatever is at the path; also to the preflights of browsers.</p>
    ${all.map((operation) => html`<div id="${operation.id}">${requestLine(operation)}</div>`)}
    ${parameterTable(first?.parameters.filter(({ in: place }) => place === 'header') ?? [])}
    <h4>Example</h4>
    <pre class="sample"><code>${first?.sample}</code></pre>
  </section>`;
}

function reference(view: DocumentView): Html {
  const errors = Object.entries(statusByCode).map(
    ([code, status]) => html`<tr id="error-${code}">
      <td class="status"><code>${status}</code></td><td><code>${code}</code></td>
      <td>${inline(ERROR_MEANINGS[code as ErrorCode])}</td>
    </tr>`,
  );
  return html`<section>
    <h2 id="errors">Errors</h2>
    <p>Each is a <a href="#schema-Error">JSON object</a>; answers to HEAD have no body.</p>
    <div class="wide"><table>
      <thead><tr><th>Status</th><th>Code</th><th>When</th></tr></thead>
      <tbody>${errors}</tbody>
    </table></div>
  </section>
  <section>
    <h2 id="header-fields">Header fields of answers</h2>
    <p>Of every answer: ${[...view.commonFields].map((name) => html`<a href="#header-${name}"><code>${name}</code></a> `)}</p>
    <div class="wide"><table>
      <thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead>
      <tbody>${view.headers.map(([name, header]) => headerRow(name, header))}</tbody>
    </table></div>
  </section>
  <section>
    <h2 id="schemas">Schemas</h2>
    ${view.schemas.map(([name, schema]) => schemaSection(name, schema))}
  </section>`;
}

function operationsOf(view: DocumentView, tag: string): readonly OperationView[] {
  return view.operations.filter((operation) => operation.tag === tag && operation.method !== 'OPTIONS');
}

const slug = (name: string): string => `tag-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`;
