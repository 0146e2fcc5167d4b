/*
 * stand: a database, a provider sandbox and a daemon for one test, in a child process that speaks JSON lines. The child
 * ends everything it started, also when this process dies.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('stand_server.py', import.meta.url));
const ERRORS_KEPT = 20000;

/* Waits this long. */
export function pause(ms) {
	return new Promise(resolve => { setTimeout(resolve, ms); });
}

/* The first true value that check() gives; an error that says what was waited for when there is none in time. */
export async function until(check, what, ms = 20000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await check();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`not within ${ms} ms: ${what} (last: ${JSON.stringify(value)})`);
		await pause(50);
	}
}

export class Stand {
	#child;
	#waiting = [];
	#errors = '';
	#ended = null;

	constructor() {
		this.#child = spawn('/usr/bin/python3', ['-B', SERVER], { stdio: ['pipe', 'pipe', 'pipe'] });
		this.#child.stderr.on('data', data => { this.#errors = (this.#errors + data).slice(-ERRORS_KEPT); });
		createInterface({ input: this.#child.stdout }).on('line', line => this.#answer(JSON.parse(line)));
		this.#child.on('exit', (code, signal) => {
			this.#ended = `the stand ended (${code ?? signal}):\n${this.#errors}`;
			for (const { reject } of this.#waiting.splice(0))
				reject(new Error(this.#ended));
		});
	}

	#answer(answer) {
		const { resolve, reject } = this.#waiting.shift();
		if (answer.error)
			reject(new Error(`${answer.error}\n${this.#errors}`));
		else
			resolve(answer.ok);
	}

	/* Asks the child; requests are answered in order. */
	ask(name, args = {}) {
		if (this.#ended)
			return Promise.reject(new Error(this.#ended));
		return new Promise((resolve, reject) => {
			this.#waiting.push({ resolve, reject });
			this.#child.stdin.write(`${JSON.stringify({ do: name, ...args })}\n`);
		});
	}

	/* A stand whose daemon is ready: {url, secret, instance} are its own. options: ini, sandbox, relay. */
	static async open(options = {}) {
		const stand = new Stand();
		Object.assign(stand, await stand.ask('start', options));
		return stand;
	}

	sql(text, ...params) {
		return this.ask('sql', { text, params });
	}

	/* The first column of the only row. */
	async value(text, ...params) {
		const rows = await this.sql(text, ...params);
		return Object.values(rows[0] ?? { none: null })[0];
	}

	/* The parsed answer to a GET; every other status than 200 is an error. */
	async get(path) {
		const answer = await this.ask('get', { path });
		if (answer.status !== 200)
			throw new Error(`GET ${path}: ${answer.status} ${answer.text}`);
		return answer.json;
	}

	async post(path, body) {
		const answer = await this.ask('post', { path, body });
		if (answer.status >= 300)
			throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
		return answer.json;
	}

	seed(from, to) {
		return this.post('/api/internal/seed-backfill-queue', { year_start: from, year_end: to });
	}

	/* Ends everything; throws when a log holds what no log may. */
	async close() {
		const bad = await this.ask('close');
		await new Promise(resolve => {
			if (this.#ended)
				resolve();
			else
				this.#child.on('exit', resolve);
		});
		if (bad.length > 0)
			throw new Error(`the logs hold defects:\n${bad.join('\n')}`);
	}
}
