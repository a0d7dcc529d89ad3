import type { CityModelDescriptor, UIMessage, UIMessageChunk } from "../../type/src/index.js";

/** A model of the catalog. */
export type UserModelRef = CityModelDescriptor;
/** What `model` takes: an id, or a model of the catalog. */
export type UserModelInput = string | { readonly id: string };

/** What every call of a model takes: the model, and whatever else it understands. */
export interface UserModelCall {
  /** The model; the operator's default when absent. */
  model?: UserModelInput | undefined;
  [field: string]: unknown;
}

/** What `text` and `stream` take. */
export interface UserServiceInput extends UserModelCall {
  /** One turn of the user; comes after `messages`, when both are given. */
  prompt?: string;
  /** The conversation so far. */
  messages?: UIMessage[];
  /** What the model is told first. */
  system?: string;
  /** Functions the model may call, in a list or by name. They run here, not on the server. */
  tools?: unknown;
}

/** A whole answer. */
export type UserTextResult = UIMessage;
/** One piece of a streamed answer. */
export type UserStreamChunk = UIMessageChunk;
/** A streamed answer. */
export type UserStreamResult = ReadableStream<UIMessageChunk>;
/** A video: a message with file parts. */
export type UserVideoResult = UIMessage;

/** One piece of a message about images. */
export type UserImageContent =
  | { type: "text"; text: string }
  | { type: "image"; url?: string; data_url?: string; media_type?: string };
/** A message about images. */
export interface UserImageMessage {
  role: "system" | "user" | "assistant";
  content: UserImageContent[];
}
/** What images are made from. */
export interface UserImageInput extends UserModelCall {
  prompt?: string;
  messages?: UserImageMessage[] | UIMessage[];
  /** How many images. */
  n?: number;
  /** How many images; the same as `n`. */
  count?: number;
  /** Such as `1024x1024`. */
  size?: string;
  /** Such as `16:9`. */
  aspect_ratio?: string;
  /** The same as `aspect_ratio`. */
  ratio?: string;
  quality?: string;
  seed?: number;
  /** Your own id of the job. */
  client_job_id?: string;
  /** Passed to the provider. */
  provider_options?: Record<string, unknown>;
}
/** Where the making of images stands. */
export type UserImageJobStatus = "queued" | "running" | "succeeded" | "failed";
/** Images that are being made. */
export interface UserImageJobCreateResult {
  job_id: string;
  status: UserImageJobStatus;
  message?: string;
  error?: string;
  /** When to ask again, in milliseconds. */
  poll_after_ms?: number;
  metadata?: Record<string, unknown>;
}
/** Images that are being made, or are there. */
export interface UserImageJobResult extends UserImageJobCreateResult {
  /** A message with file parts, once the job has succeeded. */
  result?: UIMessage;
}

/** What is read aloud. */
export interface UserTtsInput extends UserModelCall {
  text: string;
  voice?: string;
  /** Such as `mp3`. */
  format?: string;
  /** 1 = as usual. */
  speed?: number;
  /** Passed to the provider. */
  provider_options?: Record<string, unknown>;
}
/** What is written down. */
export interface UserAsrInput extends UserModelCall {
  url?: string;
  data_url?: string;
  audio_path?: string;
  media_type?: string;
  filename?: string;
  /** Passed to the provider. */
  provider_options?: Record<string, unknown>;
}
/** What was heard. */
export interface UserAsrResult {
  text: string;
  language?: string;
  /** Seconds. */
  duration?: number;
  [field: string]: unknown;
}
