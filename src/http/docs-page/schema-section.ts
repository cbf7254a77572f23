/** Schemas as tables, and as a word or two where they are used. */
import { type Header, type MediaType, referenceName, type Schema } from './document-view.ts';
import { type Html, html, inline, prose } from './html.ts';

const CHOICES = ['anyOf', 'oneOf', 'allOf'] as const;

/** What a value is, in a few words; named schemas are linked. */
export function typeOf(schema: Schema | undefined): Html {
  if (schema === undefined || Object.keys(schema).length === 0) return html`bytes`;
  const name = referenceName(schema);
  if (name !== undefined) return html`<a href="#schema-${name}">${name}</a>`;
  if (schema.title !== undefined && schema.type === undefined) return html`${schema.title}`;
  if (schema.allOf) return typeOf(schema.allOf[0] as Schema);
  const choices = (schema.anyOf ?? schema.oneOf) as readonly Schema[] | undefined;
  if (choices && schema.type === undefined) return joined(choices.map(typeOf), ' or ');
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (schema.enum) {
    const values = schema.enum.map((value) => html`<code>${value === '' ? '""' : String(value)}</code>`);
    return joined(values, ' ');
  }
  if (schema.type === 'array') return html`array of ${typeOf(schema.items as Schema)}`;
  const type = [schema.type].flat().join(' or ');
  return html`${type}${limitsOf(schema)}`;
}

function joined(parts: readonly Html[], separator: string): Html {
  return html`${parts.map((part, at) => (at === 0 ? part : html`${separator}${part}`))}`;
}

function limitsOf({ minimum, maximum, maxLength }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`;
  return maxLength === undefined ? '' : `, at most ${maxLength} characters`;
}

/** A named schema with its properties and an example. */
export function schemaSection(name: string, schema: Schema): Html {
  const choices = CHOICES.flatMap((key) => (schema.type === undefined ? ((schema[key] ?? []) as Schema[]) : []));
  return html`<article class="schema" id="schema-${name}">
    <h3>${name}</h3>
    ${prose(schema.description)}
    ${choices.length === 0 ? properties(schema) : choices.map(choice)}
    ${example(schema.examples?.[0])}
  </article>`;
}

function choice(schema: Schema): Html {
  return html`<h4>${schema.title ?? typeOf(schema)}</h4>
    ${properties(schema)} ${example(schema.examples?.[0])}`;
}

function properties(schema: Schema): Html | undefined {
  if (schema.properties === undefined) return html`<p>${typeOf(schema)}</p>`;
  return html`<div class="wide"><table>
    <thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead>
    <tbody>${rows(schema, '')}</tbody>
  </table></div>`;
}

function rows(schema: Schema, prefix: string): readonly Html[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const value = property as Schema;
    const optional = required.has(name) ? undefined : html` <span class="note">optional</span>`;
    const row = html`<tr>
      <td><code>${prefix}${name}</code>${optional}</td>
      <td>${typeOf(value)}</td>
      <td>${inline(value.description ?? '')}</td>
    </tr>`;
    return [row, ...(value.properties ? rows(value, `${prefix}${name}.`) : [])];
  });
}

export function example(value: unknown): Html | undefined {
  if (value === undefined) return undefined;
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return html`<pre class="example"><code>${text}</code></pre>`;
}

/** The examples of a body, with their names where there are several. */
export function mediaExamples({ examples }: MediaType): readonly Html[] {
  return Object.entries(examples ?? {}).map(([name, given]) => {
    const { summary, value } = given as { readonly summary?: string; readonly value: unknown };
    return html`<p class="caption">${summary ?? name}</p>
      ${example(JSON.stringify(value))}`;
  });
}

export function headerRow(name: string, { description, schema }: Header): Html {
  return html`<tr id="header-${name}">
    <td><code>${name}</code></td>
    <td>${typeOf(schema as Schema)}</td>
    <td>${inline(description ?? '')}</td>
  </tr>`;
}
