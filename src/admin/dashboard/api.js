/*
 * api: speaks to the daemon. The secret lives in this tab's session storage and in one header, nowhere else; every request
 * has an end, and the stream of events comes back by itself with the id of the last one.
 */

const TIMEOUT_MS = 20000;
const SILENCE_MS = 40000;	/* the daemon says something every 15 s */
const BACKOFF_MS = [1000, 2000, 4000, 8000, 15000, 30000];
const BUFFER_MAX = 1 << 20;	/* characters of an unfinished event */
const SECRET_KEY = 'backfill.secret';
const NAME_KEY = 'backfill.name';

/* What the daemon refused, or why it was not reached (status 0). */
export class ApiError extends Error {
	constructor(status, message, details = []) {
		super(message);
		this.name = 'ApiError';
		this.status = status;
		this.details = details;
	}
}

/* The secret and the operator's name of this tab. */
export const session = {
	secret: () => sessionStorage.getItem(SECRET_KEY),
	name: () => sessionStorage.getItem(NAME_KEY) ?? '',
	keep(secret, name) {
		sessionStorage.setItem(SECRET_KEY, secret);
		sessionStorage.setItem(NAME_KEY, name);
	},
	forget: () => {
		sessionStorage.removeItem(SECRET_KEY);
		sessionStorage.removeItem(NAME_KEY);
	}
};

/* Headers hold bytes: a name goes as those of its UTF-8. */
function headerBytes(text) {
	return String.fromCharCode(...new TextEncoder().encode(text));
}

/* Waits; ends early, quietly, with the signal. */
function wait(ms, signal) {
	return new Promise(resolve => {
		const timer = setTimeout(resolve, ms);
		signal?.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
	});
}

/* One block of the stream as {id, event, data}; null for a comment. */
function parseBlock(block) {
	const fields = {};
	for (const line of block.split('\n')) {
		const at = line.indexOf(':');
		if (at > 0)
			fields[line.slice(0, at)] = line.slice(line[at + 1] === ' ' ? at + 2 : at + 1);
	}
	if (fields.data === undefined)
		return null;
	try {
		return { id: fields.id === undefined ? null : Number(fields.id), event: fields.event ?? 'message',
			data: JSON.parse(fields.data) };
	} catch {
		return null;
	}
}

/* An error's answer as an ApiError. */
async function refusal(response) {
	let body = null;
	try {
		body = await response.json();
	} catch {
		/* a proxy may answer in its own words */
	}
	return new ApiError(response.status, body?.error ?? `The answer was ${response.status}`, body?.details);
}

export class Api {
	#secret;
	#name;
	#ended = new AbortController();

	/* onUnauthorized is called once, when the secret is no longer taken. */
	constructor(secret, name = '', onUnauthorized = () => {}) {
		this.#secret = secret;
		this.#name = name;
		this.onUnauthorized = onUnauthorized;
	}

	/* Ends everything under way; nothing is sent afterwards. */
	end() {
		this.#secret = '';
		this.#ended.abort();
	}

	#headers(more) {
		const headers = { 'X-Cron-Secret': headerBytes(this.#secret), ...more };
		if (this.#name)
			headers['X-Operator'] = headerBytes(this.#name);
		return headers;
	}

	/* A controller that ends with the tab's session or with the given signal. */
	#controller(signal) {
		const controller = new AbortController();
		for (const other of [this.#ended.signal, signal]) {
			if (other?.aborted)
				controller.abort();
			other?.addEventListener('abort', () => controller.abort(),
				{ once: true, signal: controller.signal });
		}
		return controller;
	}

	async #send(path, options, controller) {
		let response;
		try {
			response = await fetch(path, { cache: 'no-store', credentials: 'omit', redirect: 'error',
				...options, signal: controller.signal });
		} catch {
			throw new ApiError(0, this.#ended.signal.aborted ? 'Locked' : 'The daemon can’t be reached');
		}
		if (response.status === 401 && !this.#ended.signal.aborted)
			this.onUnauthorized();
		if (!response.ok)
			throw await refusal(response);
		return response;
	}

	async #ask(path, options) {
		const controller = this.#controller(null);
		const timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
		try {
			const response = await this.#send(path, options, controller);
			return await response.json();
		} catch (error) {
			if (error instanceof ApiError)
				throw error;
			throw new ApiError(0, 'The answer broke off');
		} finally {
			clearTimeout(timer);
		}
	}

	/* The parsed answer to a GET. */
	get(path) {
		return this.#ask(path, { headers: this.#headers() });
	}

	/* The parsed answer to a POST of a JSON body. */
	post(path, body = {}) {
		return this.#ask(path, { method: 'POST', body: JSON.stringify(body),
			headers: this.#headers({ 'Content-Type': 'application/json' }) });
	}

	/* Follows the events after an id until the signal: onEvent({id, event, data}), onState('live' | 'lost'). What can't be
	 * continued comes as an event `gap`: the caller reads everything again. */
	async events(lastId, onEvent, onState, signal) {
		const ended = () => signal?.aborted || this.#ended.signal.aborted;
		const reader = { lastId, failures: 0 };
		while (!ended()) {
			try {
				await this.#stream(reader, onEvent, onState, signal);
			} catch (error) {
				if (error.status === 401)
					return;
				if (error.status === 409 || error.status === 410) {
					reader.lastId = null;
					onEvent({ id: null, event: 'gap', data: {} });
				}
			}
			if (ended())
				return;
			onState('lost');
			const longest = BACKOFF_MS[Math.min(reader.failures++, BACKOFF_MS.length - 1)];
			/* not all tabs at once after a restart */
			await wait(longest * (0.5 + Math.random() / 2), signal);
		}
	}

	async #stream(reader, onEvent, onState, signal) {
		const controller = this.#controller(signal);
		let timer = setTimeout(() => controller.abort(), TIMEOUT_MS);
		const resume = reader.lastId === null ? {} : { 'Last-Event-ID': String(reader.lastId) };
		try {
			const response = await this.#send('/api/internal/events', { headers: this.#headers(resume) },
				controller);
			onState('live');
			const bytes = response.body.getReader();
			const decoder = new TextDecoder();
			let text = '';
			for (;;) {
				clearTimeout(timer);
				timer = setTimeout(() => controller.abort(), SILENCE_MS);
				const { done, value } = await bytes.read();
				if (done)
					return;
				reader.failures = 0;
				text = this.#blocks(text + decoder.decode(value, { stream: true }), reader, onEvent);
				if (text.length > BUFFER_MAX)
					throw new ApiError(0, 'An event is too long');
			}
		} finally {
			clearTimeout(timer);
			controller.abort();
		}
	}

	/* Hands on every whole block; returns the rest. */
	#blocks(text, reader, onEvent) {
		const blocks = text.split('\n\n');
		const rest = blocks.pop();
		for (const block of blocks) {
			const event = parseBlock(block);
			if (!event)
				continue;
			if (event.id !== null && Number.isFinite(event.id))
				reader.lastId = event.id;
			if (event.event !== 'bye')
				onEvent(event);
		}
		return rest;
	}
}
