/**
 * The reference for operators, written from the schema. Run as a program it prints `docs/configuration.md`:
 * `node src/config/document.ts > docs/configuration.md`.
 */
import { ENVIRONMENT_PREFIX, ignoredVariables, variableName } from './environment.ts';
import { ANY_NAME, ANY_RULE, type KnownKey, knownKeys } from './known-keys.ts';
import { unsupportedSettings } from './unsupported.ts';

const INTRODUCTION = `# Configuration

<!-- Generated from src/config/; edit the texts there and run: node src/config/document.ts > docs/configuration.md -->

Every section and every key is optional, except that the server needs at least one API key. The shortest way to run it:

\`\`\`sh
export CALLFS_AUTH__API_KEY_USERS__ALICE=$(openssl rand -hex 24)
bin/callfs server
\`\`\`

\`callfs.example.yaml\` is a file to start from. \`bin/callfs config validate\` prints what a configuration comes to, with the
secrets masked, or the reason why it cannot be used.

## Where values come from

Later ones win, key by key:

1. the defaults below;
2. a YAML or JSON file: the one named by \`--config FILE\`, else the first of \`config.yaml\`, \`config.yml\` and \`config.json\`
   in the working directory, else none;
3. environment variables that start with \`${ENVIRONMENT_PREFIX}\`.

A key without a value (\`external_url:\`) counts as not written. A list in a later place replaces an earlier list. An unknown
key, a value of the wrong type and a missing value stop the start with one line that names the key, the problem and, for an
unknown key, the nearest known one.

## Environment variables

\`CALLFS_SECTION__KEY\` sets \`section.key\`: two underscores go one level down, and the letter case of what follows the prefix does not matter.

- **Lists** are written with commas: \`CALLFS_AUTH__API_KEYS=key1,key2\`. Spaces around the items are dropped.
- **Lists of maps** are written as JSON: \`CALLFS_TIERING='[{"match": "/logs/**", "older_than": "30d", "to": "s3"}]'\`.
- **Maps** are set entry by entry: \`CALLFS_AUTH__API_KEY_USERS__ALICE=…\` is the key of the user \`alice\`, and
  \`CALLFS_AUTH__USERS__ALICE__UID=1001\` the uid. The other entries of the map stay.
- **Names of entries** are read in small letters. If the map has an entry with the same name already, apart from letter case
  and from \`-\` against \`_\`, that entry is meant, so \`CALLFS_AUTH__API_KEY_USERS__MARY_ANN\` is the key of a user
  \`Mary-Ann\` of the file. \`auth.users\` and \`auth.api_key_users\` share their names in this respect, and
  \`instance_discovery.peer_endpoints\` looks at \`instance_discovery.instance_id\` too. A new user keeps the \`_\`; in the id of a
  new instance \`_\` becomes \`-\`: \`CALLFS_INSTANCE_DISCOVERY__PEER_ENDPOINTS__CALLFS_INSTANCE_2\` is \`callfs-instance-2\`.
  Any other new name with a capital letter, a sign or two underscores in a row must be in a file.
- **Empty** variables count: they set an empty text or an empty list, and are an error where neither is allowed.
- An **unknown** variable with the prefix is an error, like an unknown key.
IGNORED_VARIABLES
  What Kubernetes adds to pods when a service is named \`callfs\` (\`CALLFS_SERVICE_HOST\`, \`CALLFS_PORT\` …) is ignored too.

## Values

- **Durations** are texts such as \`500ms\`, \`60s\`, \`2m\` and \`1h\`, or a number of seconds; ages may also be \`30d\` or \`2w\`.
- **Sizes** are a number of bytes, or texts such as \`500MB\` (powers of 1000) and \`10MiB\` (powers of 1024).
- **Paths** that are relative count from the folder of the configuration file, defaults included, so that a file means the same wherever
  CallFS is started. Without a file, and in environment variables, they count from the working directory.
- **URLs** start with \`http://\` or \`https://\` and have no query, fragment or password; a slash at the end is dropped.

## Keys and secrets

API keys, \`auth.internal_proxy_secret\` and \`auth.single_use_link_secret\` have at least 16 characters, are all different, and are
not placeholders such as \`change-me\`. API keys consist of letters, digits and \`. _ ~ + / -\`, with \`=\` at the end, so that they fit into
an \`Authorization: Bearer\` header. Make one with \`openssl rand -hex 24\`. In YAML, put them in quotes. Their values never
appear in messages.

User and group names have 1 to 64 letters, digits and \`_ . @ -\`, and start with a letter, a digit or \`_\`. Users cannot be called
\`root\`, nor anything that starts with \`api-user-\` or \`callfs-\`.
`;

/** The whole of `docs/configuration.md`. */
export function documentConfiguration(): string {
  const sections = knownKeys.filter((key) => key.path.length === 1).map(documentSection);
  const introduction = INTRODUCTION.replace('IGNORED_VARIABLES', ignoredVariablesText());
  return [introduction, ...documentUnsupported(), ...sections].join('\n');
}

function ignoredVariablesText(): string {
  const listed = Array.from(ignoredVariables, ([name, purpose]) => `\`${name}\` (${purpose})`);
  return `  Only these are left alone: ${listed.join(', ')}.`;
}

function documentUnsupported(): readonly string[] {
  if (unsupportedSettings.length === 0) return [];
  const rows = unsupportedSettings.map(({ path, message }) => `- \`${path.join('.')}\`: ${message}.`);
  return [
    '## Not in this version',
    '',
    'Using one of these stops the start rather than being ignored:',
    '',
    ...rows,
    '',
  ];
}

function documentSection(section: KnownKey): string {
  const name = section.path.join('.');
  const rows = knownKeys
    .filter((key) => key.path[0] === name && key.kind !== 'section')
    .map(
      (key) => `| ${[`\`${dotted(key)}\``, fallbackText(key), variableText(key), cell(key.description)].join(' | ')} |`,
    );
  const head = ['| Key | Default | Environment variable | Meaning |', '|---|---|---|---|'];
  return [`## \`${name}\``, '', section.description, '', ...head, ...rows, ''].join('\n');
}

function dotted(key: KnownKey): string {
  return key.path
    .map((name) => (name === ANY_NAME ? 'NAME' : name))
    .join('.')
    .replaceAll(`.${ANY_RULE}`, ANY_RULE);
}

function fallbackText({ fallback }: KnownKey): string {
  if (fallback === undefined) return '–';
  if (fallback === null) return 'not set';
  if (fallback === '') return 'empty';
  return `\`${typeof fallback === 'string' ? fallback : JSON.stringify(fallback)}\``;
}

function variableText(key: KnownKey): string {
  if (key.kind === 'map') return 'entry by entry';
  return key.path.includes(ANY_RULE) ? 'with the list' : `\`${variableName(key.path)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

if (import.meta.main) process.stdout.write(documentConfiguration());
