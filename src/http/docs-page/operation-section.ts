/** One operation: what it takes, what it answers, how to call it. */
import type { DocumentView, MediaType, OperationView, Parameter, Response, Schema } from './document-view.ts';
import { type Html, html, inline, prose } from './html.ts';
import { mediaExamples, typeOf } from './schema-section.ts';

export function operationSection(view: DocumentView, operation: OperationView): Html {
  const { id, summary, description, sample } = operation;
  return html`<article class="operation" id="${id}">
    <h3><a class="anchor" href="#${id}">${summary}</a></h3>
    ${requestLine(operation)}
    ${prose(description)}
    ${parameterTable(operation.parameters)}
    ${bodyPart(operation)}
    <h4>Answers</h4>
    ${answerTable(view, operation)}
    ${errorLine(operation)}
    <h4>Example</h4>
    <pre class="sample"><code>${sample}</code></pre>
  </article>`;
}

export function requestLine({ method, path, isOpen }: OperationView): Html {
  const access = isOpen ? html`<span class="note">no key</span>` : undefined;
  return html`<p class="request"><span class="method ${method.toLowerCase()}">${method}</span>
    <code class="path">${path}</code> ${access}</p>`;
}

export function parameterTable(parameters: readonly Parameter[]): Html | undefined {
  if (parameters.length === 0) return undefined;
  const rows = parameters.map(
    ({ name, in: place, required, description, schema, example }) => html`<tr>
      <td><code>${name}</code> <span class="note">${place}${required ? ', required' : ''}</span></td>
      <td>${typeOf(schema as Schema)}</td>
      <td>${inline(description ?? '')}${example === undefined ? undefined : html` <code class="given">${example}</code>`}</td>
    </tr>`,
  );
  return html`<h4>Parameters</h4>
    <div class="wide"><table>
      <thead><tr><th>Name</th><th>Type</th><th>Meaning</th></tr></thead>
      <tbody>${rows}</tbody>
    </table></div>`;
}

function bodyPart({ body }: OperationView): Html | undefined {
  if (!body) return undefined;
  return html`<h4>Body</h4>
    <p>${contentTypes(body.content)}. ${inline(body.description ?? '')}</p>
    ${Object.values(body.content).map((media) => mediaExamples(media as MediaType))}`;
}

function contentTypes(content: Readonly<Record<string, unknown>>): Html {
  const types = Object.entries(content).map(
    ([type, media]) => html`<code>${type}</code> ${typeOf((media as MediaType).schema as Schema)}`,
  );
  return html`${types.map((type, at) => (at === 0 ? type : html`; ${type}`))}`;
}

const isError = (status: string): boolean => Number(status) >= 400;

function answerTable(view: DocumentView, { responses }: OperationView): Html {
  const answers = responses.filter(([status, response]) => !isError(status) || codesOf(response).length === 0);
  const rows = answers.map(
    ([status, response]) => html`<tr>
      <td class="status"><code>${status}</code></td>
      <td>${inline(response.description ?? '')}${fieldList(view, response)}</td>
      <td>${response.content ? contentTypes(response.content) : html`<span class="note">no body</span>`}</td>
    </tr>`,
  );
  return html`<div class="wide"><table>
    <thead><tr><th>Status</th><th>Meaning</th><th>Body</th></tr></thead>
    <tbody>${rows}</tbody>
  </table></div>`;
}

/** The header fields that only such answers have. */
function fieldList(view: DocumentView, { headers = {} }: Response): Html | undefined {
  const own = Object.keys(headers).filter((name) => !view.commonFields.has(name));
  if (own.length === 0) return undefined;
  const names = own.map((name) => html`<a href="#header-${name}"><code>${name}</code></a> `);
  return html`<div class="fields">${names}</div>`;
}

function errorLine({ responses }: OperationView): Html {
  const errors = responses.filter(([status]) => isError(status));
  const codes = errors.flatMap(([status, response]) =>
    codesOf(response).map((code) => html`<a href="#error-${code}"><b>${status}</b> ${code}</a> `),
  );
  return html`<p class="errors">${codes}</p>`;
}

function codesOf({ description = '' }: Response): readonly string[] {
  return Array.from(description.matchAll(/^`([A-Z_]+)`: /gm), ([, code = '']) => code);
}
