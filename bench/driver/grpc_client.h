/*
 * grpc_client.h
 *		A client of the Durable Task protocol that decides nothing: it starts
 *		orchestrations, and does turns and activities as fast as they come.
 */
#ifndef BENCH_GRPC_CLIENT_H
#define BENCH_GRPC_CLIENT_H

typedef struct GrpcClient GrpcClient;

typedef struct GrpcCounts
{
	long		turns;			/* that were answered */
	long		tasks;
	long		completed;		/* orchestrations */
} GrpcCounts;

extern GrpcClient *grpc_open(int port);
extern void grpc_start(GrpcClient *client, const char *name, long n);
extern void grpc_take_work(GrpcClient *client, const char *activity, int activities, GrpcCounts *counts);
extern void grpc_work(GrpcClient *client, long n, double timeout);
extern double grpc_round_trip(GrpcClient *client, const char *name, double timeout);
extern void grpc_close(GrpcClient *client);

#endif
