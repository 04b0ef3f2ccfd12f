/*
 * messages.h - the messages of the Durable Task protocol that are sent and received.
 */
#ifndef CLIENTS_SERVE_GRPC_MESSAGES_H
#define CLIENTS_SERVE_GRPC_MESSAGES_H

#include "proto.h"

extern const ProtoMessage message_empty;

/* requests */
extern const ProtoMessage message_create_instance;
extern const ProtoMessage message_get_instance;
extern const ProtoMessage message_raise_event;
extern const ProtoMessage message_terminate;
extern const ProtoMessage message_with_reason;	/* suspend, resume, rewind */
extern const ProtoMessage message_restart;
extern const ProtoMessage message_query;
extern const ProtoMessage message_list_ids;
extern const ProtoMessage message_purge;
extern const ProtoMessage message_stream_history;
extern const ProtoMessage message_skip_terminations;
extern const ProtoMessage message_get_work_items;
extern const ProtoMessage message_orchestrator_response;
extern const ProtoMessage message_activity_response;
extern const ProtoMessage message_abandon;
extern const ProtoMessage message_signal_entity;
extern const ProtoMessage message_get_entity;
extern const ProtoMessage message_query_entities;
extern const ProtoMessage message_clean_entities;
extern const ProtoMessage message_entity_result;
extern const ProtoMessage message_health_check;

/* answers */
extern const ProtoMessage message_instance_id;	/* of StartInstance, RestartInstance */
extern const ProtoMessage message_instance;
extern const ProtoMessage message_instances;
extern const ProtoMessage message_ids;
extern const ProtoMessage message_purged;
extern const ProtoMessage message_history_chunk;
extern const ProtoMessage message_unterminated;
extern const ProtoMessage message_work_item;
extern const ProtoMessage message_entity;
extern const ProtoMessage message_entities;
extern const ProtoMessage message_cleaned;
extern const ProtoMessage message_health;

#endif
