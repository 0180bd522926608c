// The records of the contract have the same fields in index.d.ts, but for their own names. A field that is missing does not compile.

import type * as sdk from "../index.js";
import type * as raw from "../lib/raw/types.js";

type Named<T, Names> = { [K in keyof T as K extends keyof Names ? Names[K] & string : K]: T[K] };

/** Takes nothing but what does not exist. */
declare function none(left: never): void;

declare const closeInfo: Exclude<keyof raw.CloseInfo, keyof sdk.CloseInfo>;
declare const request: Exclude<keyof raw.Request, keyof sdk.Request>;
declare const chunk: Exclude<keyof Named<raw.ChunksChunk, { text: "kind"; final: "last" }>, keyof sdk.Chunk>;
declare const options: Exclude<keyof Named<raw.ClientOptions, { timeoutMs: "timeout" }>, keyof sdk.ConnectOptions | "url">;
declare const reconnect: Exclude<keyof Named<raw.ClientReconnect, { delayMs: "delay"; delayMaxMs: "delayMax" }>, keyof sdk.Reconnect>;
declare const response: Exclude<keyof raw.ClientResponse, keyof NonNullable<ReturnType<typeof sdk.responseOf>>>;

none(closeInfo);
none(request);
none(chunk);
none(options);
none(reconnect);
none(response);
