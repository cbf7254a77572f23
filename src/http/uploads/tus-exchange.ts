/** One request of the tus protocol 1.0 and its answer, as @tus/server reads the one and writes the other. */
import { DataStore, type Lock, Server, Upload } from '@tus/server';
import { CallFSError, type ErrorCode } from '../../core/errors.ts';
import { noUpload } from '../../engine/upload-context.ts';
import { UPLOADS } from '../request-target.ts';

export interface TusRequest {
  readonly method: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Undefined: none. Not asked for before everything else was found to be right. */
  readonly body: AsyncIterable<Uint8Array> | undefined;
  /** 0: no limit. */
  readonly maxBytes: number;
}

export interface UploadState {
  readonly offset: number;
  /** Undefined: not known yet. */
  readonly lengthBytes: number | undefined;
}

/** What the protocol is about. */
export interface TusWork {
  create(lengthBytes: number | undefined): Promise<void>;
  find(): Promise<UploadState>;
  declareLength(lengthBytes: number): Promise<void>;
  /** Resolves to the bytes that are there then. */
  write(bytes: AsyncIterable<Uint8Array>, offset: number): Promise<number>;
  remove(): Promise<void>;
  /** Called when all bytes are there. */
  finish(): Promise<void>;
}

export interface TusAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What concerns the protocol; the rest is ours. */
const READ_FIELDS = [
  'content-length',
  'content-type',
  'tus-resumable',
  'upload-defer-length',
  'upload-length',
  'upload-offset',
];
const WRITTEN_FIELDS = /^(?:cache-control|location|tus-|upload-)/;

/** @throws CallFSError for whatever is wrong */
export async function exchangeTus(request: TusRequest, work: TusWork): Promise<TusAnswer> {
  let failure: unknown;
  const { id, maxBytes } = request;
  const server = new Server({
    path: UPLOADS,
    relativeLocation: true,
    maxSize: maxBytes,
    namingFunction: () => id,
    getFileIdFromRequest: () => id,
    // Whoever comes here is alone with the upload.
    locker: { newLock: () => NO_LOCK },
    datastore: new WorkStore(work),
    async onUploadFinish() {
      await work.finish();
      return {};
    },
    onResponseError(_request, error) {
      failure = error;
      return undefined;
    },
  });
  const answer = await server.handleWeb(webRequest(request));
  if (failure !== undefined) throw translate(failure);
  if (answer.status >= 400) throw translate({ status_code: answer.status, body: await answer.text() });
  const headers = [...answer.headers].filter(([name]) => WRITTEN_FIELDS.test(name));
  return { status: answer.status, headers: Object.fromEntries(headers) };
}

const NO_LOCK: Lock = { async lock() {}, async unlock() {} };

class WorkStore extends DataStore {
  override extensions = ['creation', 'creation-with-upload', 'creation-defer-length', 'termination'];
  readonly #work: TusWork;

  constructor(work: TusWork) {
    super();
    this.#work = work;
  }

  override async create(upload: Upload): Promise<Upload> {
    await this.#work.create(upload.size);
    return upload;
  }

  override async getUpload(id: string): Promise<Upload> {
    const { offset, lengthBytes } = await this.#work.find();
    return new Upload({ id, offset, ...(lengthBytes === undefined ? {} : { size: lengthBytes }) });
  }

  override declareUploadLength(_id: string, lengthBytes: number): Promise<void> {
    return this.#work.declareLength(lengthBytes);
  }

  override write(bytes: AsyncIterable<Uint8Array>, _id: string, offset: number): Promise<number> {
    return this.#work.write(bytes, offset);
  }

  override remove(): Promise<void> {
    return this.#work.remove();
  }
}

function webRequest({ method, id, headers, body }: TusRequest): Request {
  const fields = READ_FIELDS.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, String(value)] as [string, string]];
  });
  return new Request(`http://localhost${UPLOADS}/${id}`, {
    method,
    headers: fields,
    ...(body && { body: ReadableStream.from(body), duplex: 'half' }),
  });
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  404: 'NOT_FOUND',
  409: 'UPLOAD_OFFSET_CONFLICT',
  410: 'UPLOAD_GONE',
  412: 'PRECONDITION_FAILED',
  413: 'PAYLOAD_TOO_LARGE',
};

/** The library's errors are plain objects with a status and a line of text. */
function translate(failure: unknown): unknown {
  if (failure instanceof CallFSError || typeof failure !== 'object' || failure === null) return failure;
  if (!('status_code' in failure) || !('body' in failure)) return failure;
  const { status_code: status, body } = failure;
  if (status === 404) return noUpload();
  if (typeof status !== 'number' || status >= 500) return failure;
  return new CallFSError(CODES[status] ?? 'BAD_REQUEST', `${String(body).trim()}.`);
}
