/**
 * A web page in a real browser that records a video, uploads it and plays it. A video element cannot send a key, so a
 * service worker of the page asks for it what the element asks for, ranges and all.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium } from 'playwright-core';

const WORKER = `
  let media;
  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('message', (event) => { media = event.data; event.ports[0].postMessage('ready'); });
  self.addEventListener('fetch', (event) => {
    if (!new URL(event.request.url).pathname.startsWith('/media/')) return;
    const headers = { authorization: 'Bearer ' + media.key };
    const range = event.request.headers.get('range');
    if (range) headers.range = range;
    event.respondWith(fetch(media.url, { headers }));
  });`;

const PAGE = `<!doctype html><canvas width="320" height="240"></canvas><video muted></video><script>
  const video = document.querySelector('video');
  const seen = (target, type) => new Promise((resolve, reject) => {
    target.addEventListener(type, resolve, { once: true });
    target.addEventListener('error', () => reject(new Error(video.error?.message)), { once: true });
  });

  /** Noise does not compress, so a few seconds make a file that is loaded in several pieces. */
  async function record(seconds) {
    const canvas = document.querySelector('canvas');
    const context = canvas.getContext('2d');
    const image = context.createImageData(canvas.width, canvas.height);
    const timer = setInterval(() => {
      for (let at = 0; at < image.data.length; at += 65536) crypto.getRandomValues(image.data.subarray(at, at + 65536));
      for (let at = 3; at < image.data.length; at += 4) image.data[at] = 255;
      context.putImageData(image, 0, 0);
    }, 40);
    const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: 'video/webm', videoBitsPerSecond: 8e6 });
    const pieces = [];
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    recorder.stop();
    await seen(recorder, 'stop');
    clearInterval(timer);
    return new Blob(pieces, { type: 'video/webm' });
  }

  async function recordAndUpload(url, key) {
    const body = await record(3);
    const answer = await fetch(url, { method: 'PUT', body, headers: { authorization: 'Bearer ' + key } });
    return { status: answer.status, type: answer.headers.get('x-callfs-type'), sizeBytes: body.size };
  }

  async function play(url, key) {
    await navigator.serviceWorker.register('/worker.js');
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) await seen(navigator.serviceWorker, 'controllerchange');
    const channel = new MessageChannel();
    navigator.serviceWorker.controller.postMessage({ url, key }, [channel.port2]);
    await new Promise((resolve) => { channel.port1.onmessage = resolve; });
    video.src = '/media/clip.webm';
    await seen(video, 'loadedmetadata');
    await video.play();
    while (video.currentTime < 0.3) await seen(video, 'timeupdate');
    video.pause();
    return { width: video.videoWidth, height: video.videoHeight, playedSeconds: video.currentTime };
  }

  async function seek(seconds) {
    const done = seen(video, 'seeked');
    video.currentTime = seconds;
    await done;
    return video.currentTime;
  }
</script>`;

export interface PageServer extends AsyncDisposable {
  /** As browsers name it. */
  readonly origin: string;
}

export async function startPageServer(): Promise<PageServer> {
  const server = createServer(({ url }, response) => {
    const [type, text] = url === '/worker.js' ? ['text/javascript', WORKER] : ['text/html', PAGE];
    response.writeHead(200, { 'content-type': type }).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

export interface VideoPage extends AsyncDisposable {
  recordAndUpload(url: string): Promise<{ status: number; type: string | null; sizeBytes: number }>;
  play(url: string): Promise<{ width: number; height: number; playedSeconds: number }>;
  /** Resolves to where the video then is, in seconds. */
  seek(seconds: number): Promise<number>;
}

/** @param key that the page sends */
export async function openVideoPage(executablePath: string, origin: string, key: string): Promise<VideoPage> {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--no-proxy-server'] });
  const page = await browser.newPage();
  await page.goto(origin);
  const quoted = (url: string): string => `${JSON.stringify(url)}, ${JSON.stringify(key)}`;
  return {
    recordAndUpload: (url) => page.evaluate(`recordAndUpload(${quoted(url)})`),
    play: (url) => page.evaluate(`play(${quoted(url)})`),
    seek: (seconds) => page.evaluate(`seek(${seconds})`),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}
